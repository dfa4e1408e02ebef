-- CRMs that delivered webhooks on most days of the last week and none for `threshold` hours, while polls found changes.
SELECT d.source AS subject, d.source AS crm, NULL AS entity,
    format('no webhook since %%s UTC, where %%s came in the days before; polls found %%s changes since',
           to_char(d.last_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI'), d.deliveries, p.changes) AS text,
    NULL AS cause
FROM (
    SELECT i.source, max(i.received_at) AS last_at, count(*) AS deliveries,
        count(DISTINCT date_trunc('day', i.received_at)) AS days
    FROM orchestration.webhook_inbox AS i
    WHERE i.received_at > %(now)s - interval '7 days' GROUP BY i.source
) AS d
CROSS JOIN LATERAL (
    SELECT coalesce(sum(h.records_created + h.records_updated), 0) AS changes FROM orchestration.sync_history AS h
    WHERE h.crm_source = d.source AND h.start_time > %(now)s - %(threshold)s * interval '1 hour'
        AND h.start_time > d.last_at AND h.status IN ('success', 'partial') AND h.configuration ->> 'mode' = 'delta'
        AND h.configuration ->> 'dry_run' = 'false'
) AS p
WHERE d.source = ANY(%(crms)s::text[]) AND d.last_at < %(now)s - %(threshold)s * interval '1 hour'
    AND d.days >= 3 AND p.changes >= 10

-- CRMs that delivered webhooks on most days of the week before their last one and none for `threshold` hours since, while
-- polls found changes: ten in one span of `threshold` hours since, of the last two weeks, so that a quiet day is not taken
-- for an end. orchestration.webhook_outcome has deliveries for longer than the inbox.
SELECT d.source AS subject, d.source AS crm, NULL AS entity,
    format('no webhook since %%s UTC, where %%s came in the week before; polls found %%s changes since',
           to_char(d.last_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI'), w.deliveries, p.changes) AS text,
    NULL AS cause
FROM unnest(%(crms)s::text[]) AS c (crm)
CROSS JOIN LATERAL (
    SELECT o.source, o.last_at FROM orchestration.webhook_outcome AS o
    WHERE o.source = c.crm AND o.outcome IN ('accepted', 'duplicate', 'ignored', 'failed')
    ORDER BY o.hour DESC, o.last_at DESC LIMIT 1
) AS d
CROSS JOIN LATERAL (
    SELECT sum(o.deliveries) AS deliveries, count(DISTINCT date_trunc('day', o.hour)) AS days
    FROM orchestration.webhook_outcome AS o
    WHERE o.source = d.source AND o.hour > d.last_at - interval '7 days'
        AND o.outcome IN ('accepted', 'duplicate', 'ignored', 'failed')
) AS w
CROSS JOIN LATERAL (
    SELECT sum(s.changes) AS changes, max(s.changes) AS most FROM (
        SELECT sum(h.records_created + h.records_updated) AS changes FROM orchestration.sync_history AS h
        WHERE h.crm_source = d.source AND h.start_time > greatest(d.last_at, %(now)s - interval '14 days')
            AND h.status IN ('success', 'partial') AND h.configuration ->> 'mode' = 'delta'
            AND h.configuration ->> 'dry_run' = 'false'
        GROUP BY floor(extract(epoch FROM h.start_time - d.last_at) / greatest(3600 * %(threshold)s, 1))
    ) AS s
) AS p
WHERE d.last_at < %(now)s - %(threshold)s * interval '1 hour' AND w.days >= 3 AND p.most >= 10

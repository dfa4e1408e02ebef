-- What webhooks missed: of each entity that they tell of, by day in UTC, which share of the changes only polls have found.
WITH run AS (
    SELECT h.crm_source, h.sync_type AS entity, h.start_time, told.by_webhook,
        coalesce(h.records_created, 0) + coalesce(h.records_updated, 0)
            + coalesce((h.performance_metrics ->> 'deleted')::bigint, 0)
            + coalesce((h.performance_metrics ->> 'restored')::bigint, 0) AS changes,
        min(h.start_time) FILTER (WHERE told.by_webhook) OVER (PARTITION BY h.crm_source, h.sync_type) AS told_since
    FROM orchestration.sync_history AS h
        CROSS JOIN LATERAL (
            SELECT h.configuration ->> 'mode' = 'webhook' OR h.configuration ? 'for_webhooks' AS by_webhook
        ) AS told
    WHERE h.start_time > now() - interval '30 days'
        AND (h.status IN ('success', 'partial')) IS TRUE
        AND h.configuration ->> 'dry_run' = 'false'
        -- A full read of what deltas read as well may change every row, because a column came: it tells nothing.
        AND (told.by_webhook OR h.configuration ->> 'mode' = 'delta'
            OR h.configuration ->> 'mode' = 'full' AND h.configuration ->> 'previous_cursor' IS NULL)
)
SELECT crm_source, entity, (start_time AT TIME ZONE 'UTC')::date AS day,
    sum(changes)::bigint AS changes,
    coalesce(sum(changes) FILTER (WHERE by_webhook), 0)::bigint AS by_webhook,
    coalesce(sum(changes) FILTER (WHERE NOT by_webhook), 0)::bigint AS only_polled,
    round(coalesce(sum(changes) FILTER (WHERE NOT by_webhook), 0) / nullif(sum(changes), 0), 4) AS lost_share
FROM run
WHERE start_time >= told_since
GROUP BY crm_source, entity, (start_time AT TIME ZONE 'UTC')::date

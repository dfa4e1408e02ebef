-- Of each of the `entities` of `crm`, with its span of seconds in `spans`: how many seconds ago it was last read because a
-- delivery asked for it, within `within` seconds; how many changes came within its span, and how many of them only by
-- polling, counted as orchestration.webhook_gap does; how many seconds ago the last good run began that read all news.
WITH run AS MATERIALIZED (
    SELECT h.sync_type, extract(epoch FROM clock_timestamp() - h.start_time)::float8 AS seconds,
        h.configuration ->> 'mode' IN ('delta', 'full') AS is_poll,
        h.configuration ->> 'mode' = 'webhook' OR h.configuration ? 'for_webhooks' AS by_webhook,
        h.configuration ->> 'mode' = 'full' AND h.configuration ->> 'previous_cursor' IS NOT NULL AS is_whole,
        coalesce(h.records_created, 0) + coalesce(h.records_updated, 0)
            + coalesce((h.performance_metrics ->> 'deleted')::bigint, 0)
            + coalesce((h.performance_metrics ->> 'restored')::bigint, 0) AS changes
    FROM orchestration.sync_history AS h
    WHERE h.crm_source = %(crm)s AND h.sync_type = ANY(%(entities)s)
        AND h.start_time > clock_timestamp() - make_interval(secs => %(within)s)
        AND (h.status IN ('success', 'partial')) IS TRUE
        AND h.configuration ->> 'mode' IN ('delta', 'full', 'webhook')
        AND h.configuration ->> 'dry_run' = 'false' AND h.configuration ->> 'max_records' = '0'
        AND h.configuration ->> 'narrowed' IS DISTINCT FROM 'true'
)
SELECT asked.entity,
    min(run.seconds) FILTER (WHERE run.by_webhook) AS told_seconds,
    min(run.seconds) FILTER (WHERE run.is_poll) AS polled_seconds,
    coalesce(sum(run.changes) FILTER (WHERE seconds < asked.span AND (by_webhook OR NOT is_whole)), 0)::bigint AS changes,
    coalesce(sum(run.changes) FILTER (WHERE seconds < asked.span AND NOT (by_webhook OR is_whole)), 0)::bigint
        AS only_polled
FROM unnest(%(entities)s::text[], %(spans)s::float8[]) WITH ORDINALITY AS asked (entity, span, n)
    LEFT JOIN run ON run.sync_type = asked.entity
GROUP BY asked.n, asked.entity
ORDER BY asked.n

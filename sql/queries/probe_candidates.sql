-- Those of the `entities` of `crm` whose last sync, webhooks aside, was a good one that found nothing new, within
-- `most_records` and `most_seconds`.
SELECT asked.entity
FROM unnest(%(entities)s::text[]) AS asked (entity)
    CROSS JOIN LATERAL (
        SELECT h.* FROM orchestration.sync_history AS h
        WHERE h.crm_source = %(crm)s AND h.sync_type = asked.entity
            AND h.configuration ->> 'mode' IS DISTINCT FROM 'webhook' AND NOT h.configuration ? 'for_webhooks'
        ORDER BY h.id DESC LIMIT 1
    ) AS last
WHERE last.status = 'success' AND last.configuration ->> 'mode' IN ('delta', 'full')
    AND last.configuration ->> 'dry_run' = 'false' AND last.configuration ->> 'max_records' = '0'
    AND last.records_created + last.records_updated + last.records_failed = 0
    AND (last.performance_metrics ->> 'deleted')::bigint + (last.performance_metrics ->> 'restored')::bigint = 0
    AND last.records_processed <= %(most_records)s
    AND last.end_time - last.start_time < make_interval(secs => %(most_seconds)s)

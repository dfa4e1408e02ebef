-- Runs, the newest first; of one that is running, how many records were read so far.
--
-- crm, entity, status, mode (null: any), since (when a run began at the earliest), before (an id), size
SELECT h.id, h.run_id, h.crm_source AS crm, h.sync_type AS entity, h.status, h.start_time AS started_at,
    extract(epoch FROM coalesce(h.end_time, clock_timestamp()) - h.start_time)::float8 AS seconds,
    CASE h.status WHEN 'running' THEN coalesce((h.performance_metrics ->> 'total_records')::integer, 0)
        ELSE h.records_processed END AS records_processed,
    h.records_created, h.records_updated, h.records_failed,
    h.configuration ->> 'mode' AS mode, coalesce((h.configuration ->> 'dry_run')::boolean, false) AS dry_run,
    (h.performance_metrics ->> 'total_api_calls')::bigint AS api_calls
FROM orchestration.sync_history AS h
WHERE (%(crm)s::text IS NULL OR h.crm_source = %(crm)s) AND (%(entity)s::text IS NULL OR h.sync_type = %(entity)s)
    AND (%(status)s::text IS NULL OR h.status = %(status)s)
    AND (%(mode)s::text IS NULL OR h.configuration ->> 'mode' = %(mode)s)
    AND h.start_time >= %(since)s AND h.id < %(before)s
ORDER BY h.id DESC LIMIT %(size)s

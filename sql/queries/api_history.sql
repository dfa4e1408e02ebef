-- Syncs, the newest first; of one that is running, how many records were read so far.
--
-- crm, entity, status (null: any), before (an id), size
SELECT h.id, h.run_id, h.crm_source AS crm, h.sync_type AS entity, h.status, h.start_time AS started_at,
    h.end_time AS ended_at,
    CASE h.status WHEN 'running' THEN coalesce((h.performance_metrics ->> 'total_records')::integer, 0)
        ELSE h.records_processed END AS records_processed,
    h.records_created, h.records_updated, h.records_failed,
    h.configuration ->> 'mode' AS mode, h.error_message
FROM orchestration.sync_history AS h
WHERE (%(crm)s::text IS NULL OR h.crm_source = %(crm)s) AND (%(entity)s::text IS NULL OR h.sync_type = %(entity)s)
    AND (%(status)s::text IS NULL OR h.status = %(status)s) AND h.id < %(before)s
ORDER BY h.id DESC LIMIT %(size)s

-- Syncs, the newest first.
--
-- crm, entity, status (null: any), before (an id), size
SELECT h.id, h.run_id, h.crm_source AS crm, h.sync_type AS entity, h.status, h.start_time AS started_at,
    h.end_time AS ended_at, h.records_processed, h.records_created, h.records_updated, h.records_failed,
    h.configuration ->> 'mode' AS mode, h.error_message
FROM orchestration.sync_history AS h
WHERE (%(crm)s::text IS NULL OR h.crm_source = %(crm)s) AND (%(entity)s::text IS NULL OR h.sync_type = %(entity)s)
    AND (%(status)s::text IS NULL OR h.status = %(status)s) AND h.id < %(before)s
ORDER BY h.id DESC LIMIT %(size)s

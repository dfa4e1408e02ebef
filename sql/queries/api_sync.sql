-- What a run of Dagster's has synced so far: a row for each entity.
--
-- run_id
SELECT h.id, h.crm_source AS crm, h.sync_type AS entity, h.status, h.start_time AS started_at, h.end_time AS ended_at,
    h.records_processed, h.records_created, h.records_updated, h.records_failed, h.error_message
FROM orchestration.sync_history AS h WHERE h.run_id = %(run_id)s ORDER BY h.id

-- What a run of Dagster's has synced: a row for each entity. Of one that is running, how many records were read so far and
-- how many the vendor says there are; what becomes of them is known at its end.
--
-- run_id
SELECT h.id, h.crm_source AS crm, h.sync_type AS entity, h.status, h.start_time AS started_at, h.end_time AS ended_at,
    CASE h.status WHEN 'running' THEN coalesce((h.performance_metrics ->> 'total_records')::integer, 0)
        ELSE h.records_processed END AS records_processed,
    h.records_created, h.records_updated, h.records_failed,
    (h.performance_metrics ->> 'vendor_reported')::bigint AS vendor_reported,
    (h.performance_metrics ->> 'total_api_calls')::bigint AS api_calls, h.error_message
FROM orchestration.sync_history AS h WHERE h.run_id = %(run_id)s ORDER BY h.id

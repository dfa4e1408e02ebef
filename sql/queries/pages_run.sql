-- A run, also one that was moved into the archive, and the runs of its entity before and after it. Of one that is running,
-- how many records were read so far.
--
-- id
WITH run AS (
    SELECT h.id, h.run_id, h.crm_source AS crm, h.sync_type AS entity, h.endpoint, h.status, h.start_time AS started_at,
        h.end_time AS ended_at,
        CASE h.status WHEN 'running' THEN coalesce((h.performance_metrics ->> 'total_records')::integer, 0)
            ELSE h.records_processed END AS records_processed,
        h.records_created, h.records_updated, h.records_failed,
        h.error_message, h.configuration, h.performance_metrics AS metrics
    FROM orchestration.sync_history AS h WHERE h.id = %(id)s
    UNION ALL
    SELECT h.id, h.run_id, h.crm_source, h.sync_type, h.endpoint, h.status, h.start_time, h.end_time,
        h.records_processed, h.records_created, h.records_updated, h.records_failed,
        h.error_message, h.configuration, h.performance_metrics
    FROM orchestration.sync_history_archive AS h WHERE h.id = %(id)s
    LIMIT 1
)
SELECT run.*, extract(epoch FROM coalesce(run.ended_at, clock_timestamp()) - run.started_at)::float8 AS seconds,
    (SELECT h.id FROM orchestration.sync_history AS h
     WHERE h.crm_source = run.crm AND h.sync_type = run.entity AND h.id < run.id ORDER BY h.id DESC LIMIT 1) AS earlier,
    (SELECT h.id FROM orchestration.sync_history AS h
     WHERE h.crm_source = run.crm AND h.sync_type = run.entity AND h.id > run.id ORDER BY h.id LIMIT 1) AS later,
    (SELECT count(*) FROM orchestration.sync_history AS h WHERE h.run_id = run.run_id AND h.id <> run.id) AS beside
FROM run

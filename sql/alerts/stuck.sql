-- Runs that have been going on for more than `threshold` hours.
SELECT h.crm_source || ' ' || h.sync_type AS subject, h.crm_source AS crm, h.sync_type AS entity,
    format('a run has been going on since %%s UTC (sync_history %%s)',
           to_char(min(h.start_time) AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI'), min(h.id)) AS text,
    NULL AS cause
FROM orchestration.sync_history AS h
WHERE h.status = 'running' AND h.start_time < %(now)s - %(threshold)s * interval '1 hour'
GROUP BY h.crm_source, h.sync_type

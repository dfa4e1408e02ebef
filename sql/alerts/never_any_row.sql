-- Entities that have been green for `threshold` days and never brought a row.
SELECT s.crm_source || ' ' || s.model_name AS subject, s.crm_source AS crm, s.model_name AS entity,
    format('every run since %%s was good, and none ever found a record',
           to_char(first.at AT TIME ZONE 'UTC', 'YYYY-MM-DD')) AS text,
    s.crm_source AS cause
FROM orchestration.sync_schedule AS s
CROSS JOIN LATERAL (
    SELECT g.start_time AS at FROM orchestration.good_run AS g
    WHERE g.crm_source = s.crm_source AND g.sync_type = s.model_name ORDER BY g.id LIMIT 1
) AS first
CROSS JOIN LATERAL (
    SELECT h.status FROM orchestration.sync_history AS h
    WHERE h.crm_source = s.crm_source AND h.sync_type = s.model_name AND (h.status <> 'running') IS TRUE
    ORDER BY h.id DESC LIMIT 1
) AS last
WHERE s.mode = 'delta' AND s.enabled AND s.crm_source = ANY(%(crms)s::text[])
    AND first.at < %(now)s - %(threshold)s * interval '1 day' AND last.status = 'success'
    AND NOT EXISTS (
        SELECT FROM orchestration.sync_history AS h
        WHERE h.crm_source = s.crm_source AND h.sync_type = s.model_name AND h.records_processed > 0)

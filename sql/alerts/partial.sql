-- Entities that have been partial for `threshold` hours: no run was a success since, and the last good one was partial.
SELECT s.crm_source || ' ' || s.model_name AS subject, s.crm_source AS crm, s.model_name AS entity,
    format('%%s runs in a row were partial since %%s UTC: %%s', p.runs,
           to_char(p.since AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI'),
           coalesce(p.reason, 'records are in the dead letters')) AS text,
    NULL AS cause
FROM orchestration.sync_schedule AS s
LEFT JOIN LATERAL (
    SELECT h.id FROM orchestration.sync_history AS h
    WHERE h.crm_source = s.crm_source AND h.sync_type = s.model_name AND (h.status = 'success') IS TRUE
        AND h.configuration ->> 'mode' IN ('delta', 'full') AND h.configuration ->> 'dry_run' = 'false'
    ORDER BY h.id DESC LIMIT 1
) AS good ON true
CROSS JOIN LATERAL (
    SELECT count(*) AS runs, min(h.start_time) AS since,
        (array_agg(h.performance_metrics ->> 'partial_reason' ORDER BY h.id DESC))[1] AS reason
    FROM orchestration.sync_history AS h
    WHERE h.crm_source = s.crm_source AND h.sync_type = s.model_name AND h.id > coalesce(good.id, 0)
        AND h.status = 'partial' AND h.configuration ->> 'mode' IN ('delta', 'full')
        AND h.configuration ->> 'dry_run' = 'false'
) AS p
WHERE s.mode = 'delta' AND s.enabled AND s.crm_source = ANY(%(crms)s::text[])
    AND p.since < %(now)s - %(threshold)s * interval '1 hour'

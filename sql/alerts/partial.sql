-- Entities that have been partial for `threshold` hours: no good run was a success since.
SELECT s.crm_source || ' ' || s.model_name AS subject, s.crm_source AS crm, s.model_name AS entity,
    format('%%s runs in a row were partial since %%s UTC: %%s', p.runs,
           to_char(p.since AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI'),
           coalesce(p.reason, 'records are in the dead letters')) AS text,
    NULL AS cause
FROM orchestration.sync_schedule AS s
LEFT JOIN LATERAL (
    SELECT g.id FROM orchestration.good_run AS g
    WHERE g.crm_source = s.crm_source AND g.sync_type = s.model_name AND g.status = 'success'
    ORDER BY g.id DESC LIMIT 1
) AS success ON true
CROSS JOIN LATERAL (
    SELECT count(*) AS runs, min(g.start_time) AS since,
        (array_agg(g.performance_metrics ->> 'partial_reason' ORDER BY g.id DESC))[1] AS reason
    FROM orchestration.good_run AS g
    WHERE g.crm_source = s.crm_source AND g.sync_type = s.model_name AND g.id > coalesce(success.id, 0)
) AS p
WHERE s.mode = 'delta' AND s.enabled AND s.crm_source = ANY(%(crms)s::text[])
    AND p.since < %(now)s - %(threshold)s * interval '1 hour'

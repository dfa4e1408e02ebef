-- Entities of which `threshold` runs that asked for all that is new failed since their last good one, with the reason of
-- the last. One that is read less often than that within a day is at fault sooner: of a daily one a failed run is a day
-- without data. Attempts of one run count once. Refused credentials are a rule of their own.
SELECT s.crm_source || ' ' || s.model_name AS subject, s.crm_source AS crm, s.model_name AS entity,
    format('%%s %%s failed since %%s UTC: %%s', f.runs, CASE f.runs WHEN 1 THEN 'run' ELSE 'runs in a row' END,
           to_char(f.since AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI'), f.error) AS text,
    s.crm_source || ': ' || split_part(f.error, ':', 1) AS cause
FROM orchestration.sync_schedule AS s
LEFT JOIN LATERAL (
    SELECT g.id FROM orchestration.good_run AS g
    WHERE g.crm_source = s.crm_source AND g.sync_type = s.model_name ORDER BY g.id DESC LIMIT 1
) AS good ON true
CROSS JOIN LATERAL (
    SELECT count(DISTINCT coalesce(h.run_id, h.id::text)) AS runs, min(h.start_time) AS since,
        (array_agg(h.error_message ORDER BY h.id DESC))[1] AS error
    FROM orchestration.sync_history AS h
    WHERE h.crm_source = s.crm_source AND h.sync_type = s.model_name AND h.id > coalesce(good.id, 0)
        AND h.status = 'failed' AND orchestration.asks_for_news(h.configuration)
) AS f
WHERE s.mode = 'delta' AND s.enabled AND s.crm_source = ANY(%(crms)s::text[])
    AND f.runs >= least(%(threshold)s, greatest(1, ceil(86400 / extract(epoch FROM
        coalesce(s.every * ('1 ' || s.period)::interval, '1 day')))))
    AND f.error NOT LIKE 'CredentialRefused:%%'

-- CRMs whose runs used more than the share `threshold` of what the account may request; `limits` has by CRM the requests
-- and the seconds. A run counts when it ends.
SELECT l.crm AS subject, l.crm AS crm, NULL AS entity,
    format('%%s of %%s requests of the last %%s hours are used', u.used, l.requests, round(l.seconds / 3600.0)) AS text,
    NULL AS cause
FROM jsonb_to_recordset(%(limits)s::jsonb) AS l (crm text, requests bigint, seconds integer)
CROSS JOIN LATERAL (
    SELECT coalesce(sum((h.performance_metrics ->> 'total_api_calls')::bigint), 0) AS used
    FROM orchestration.sync_history AS h
    WHERE h.crm_source = l.crm AND h.end_time > %(now)s - make_interval(secs => l.seconds)
        AND h.start_time > %(now)s - make_interval(secs => l.seconds) - interval '1 day'
) AS u
WHERE u.used >= %(threshold)s * l.requests

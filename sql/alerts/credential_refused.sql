-- CRMs that refused the credential in the last run of an entity.
SELECT s.crm_source AS subject, s.crm_source AS crm, NULL AS entity,
    format('the credential was refused in the last run of %%s of its entities, first %%s UTC: %%s', count(*),
           to_char(min(last.start_time) AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI'),
           (array_agg(last.error_message ORDER BY last.start_time DESC))[1]) AS text,
    NULL AS cause
FROM orchestration.sync_schedule AS s
CROSS JOIN LATERAL (
    SELECT h.status, h.start_time, h.error_message FROM orchestration.sync_history AS h
    WHERE h.crm_source = s.crm_source AND h.sync_type = s.model_name
        AND (h.status NOT IN ('running', 'cancelled')) IS TRUE
        AND coalesce(h.configuration ->> 'mode', '') NOT IN ('replay', 'refused')
    ORDER BY h.id DESC LIMIT 1
) AS last
WHERE s.mode = 'delta' AND s.crm_source = ANY(%(crms)s::text[])
    AND last.status = 'failed' AND last.error_message LIKE 'CredentialRefused:%%'
GROUP BY s.crm_source

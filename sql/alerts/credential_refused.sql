-- CRMs that refused the credential in the last run of an entity that is switched on. Where another entity of the CRM had a
-- good run since the refusals began, the credential is taken: of those whose last run was refused each is a subject then,
-- which explains nothing of the CRM's others. A good run counts after half an hour, in which what piled up is worked off.
WITH refused AS MATERIALIZED (
    SELECT s.crm_source AS crm, s.model_name AS entity, last.start_time, last.error_message
    FROM orchestration.sync_schedule AS s
    CROSS JOIN LATERAL (
        SELECT h.status, h.start_time, h.error_message FROM orchestration.sync_history AS h
        WHERE h.crm_source = s.crm_source AND h.sync_type = s.model_name
            AND (h.status NOT IN ('running', 'cancelled')) IS TRUE
            AND coalesce(h.configuration ->> 'mode', '') NOT IN ('replay', 'refused')
        ORDER BY h.id DESC LIMIT 1
    ) AS last
    WHERE s.mode = 'delta' AND s.enabled AND s.crm_source = ANY(%(crms)s::text[])
        AND last.status = 'failed' AND last.error_message LIKE 'CredentialRefused:%%'
), good AS MATERIALIZED (
    SELECT s.crm_source AS crm, s.model_name AS entity, last.id, last.start_time
    FROM orchestration.sync_schedule AS s
    CROSS JOIN LATERAL (
        SELECT g.id, g.start_time FROM orchestration.good_run AS g
        WHERE g.crm_source = s.crm_source AND g.sync_type = s.model_name
            AND g.start_time < %(now)s - interval '30 minutes'
        ORDER BY g.id DESC LIMIT 1
    ) AS last
    WHERE s.mode = 'delta' AND s.crm_source IN (SELECT r.crm FROM refused AS r)
), judged AS (
    SELECT r.*, bool_or(NOT taken.since) OVER (PARTITION BY r.crm) AS whole
    FROM refused AS r
    LEFT JOIN good AS own ON own.crm = r.crm AND own.entity = r.entity
    CROSS JOIN LATERAL (
        SELECT h.start_time AS at FROM orchestration.sync_history AS h
        WHERE h.crm_source = r.crm AND h.sync_type = r.entity AND h.id > coalesce(own.id, 0)
            AND (h.status = 'failed') IS TRUE AND h.error_message LIKE 'CredentialRefused:%%'
        ORDER BY h.id LIMIT 1
    ) AS first
    CROSS JOIN LATERAL (
        SELECT EXISTS (SELECT FROM good AS g WHERE g.crm = r.crm AND g.start_time > first.at) AS since
    ) AS taken
)
SELECT j.crm AS subject, j.crm, NULL AS entity,
    format('the credential was refused in the last run of %%s of its entities, first %%s UTC: %%s', count(*),
           to_char(min(j.start_time) AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI'),
           (array_agg(j.error_message ORDER BY j.start_time DESC))[1]) AS text,
    j.crm AS cause
FROM judged AS j WHERE j.whole GROUP BY j.crm
UNION ALL
SELECT j.crm || ' ' || j.entity, j.crm, j.entity,
    format('the credential was refused in its last run, %%s UTC, though other entities were read since: %%s',
           to_char(j.start_time AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI'), j.error_message),
    j.crm
FROM judged AS j WHERE NOT j.whole

-- The CRM and the entities that are on, of each schedule in Dagster that syncs some of `crms`.
SELECT s.dagster_schedule_name AS schedule, min(s.crm_source) AS crm,
    array_agg(s.model_name ORDER BY s.model_name) AS entities
FROM orchestration.sync_schedule AS s
WHERE s.mode = 'delta' AND s.enabled AND s.dagster_schedule_name IS NOT NULL AND s.crm_source = ANY(%(crms)s::text[])
GROUP BY s.dagster_schedule_name ORDER BY s.dagster_schedule_name

-- Of each entity of the arrays `crms` and `sync_types`: when its last good run (orchestration.good_run) began and how many living rows it left,
-- how its last `most` runs ended and how long they took, the oldest first, and when its schedule asks for it next.
WITH real AS (
    SELECT * FROM orchestration.sync_history
    WHERE NOT coalesce((configuration ->> 'dry_run')::boolean, false)
      AND coalesce(configuration ->> 'mode', '') NOT IN ('replay', 'refused', 'webhook')
)
SELECT entity.crm, entity.sync_type AS entity, good.*, recent.*,
    coalesce(schedule.enabled, true) AS enabled, schedule.next_run AS next_at, schedule.dagster_status
FROM unnest(%(crms)s::text[], %(sync_types)s::text[]) AS entity (crm, sync_type)
LEFT JOIN LATERAL (
    SELECT g.start_time AS good_at, (g.performance_metrics ->> 'living_rows')::bigint AS rows
    FROM orchestration.good_run AS g WHERE g.crm_source = entity.crm AND g.sync_type = entity.sync_type
    ORDER BY g.id DESC LIMIT 1
) AS good ON true
CROSS JOIN LATERAL (
    SELECT coalesce(array_agg(last.status ORDER BY last.id), '{}') AS statuses,
        coalesce(array_agg(last.seconds ORDER BY last.id), '{}') AS seconds
    FROM (
        SELECT real.id, real.status::text,
            extract(epoch FROM coalesce(real.end_time, clock_timestamp()) - real.start_time)::float8 AS seconds
        FROM real WHERE real.crm_source = entity.crm AND real.sync_type = entity.sync_type
        ORDER BY real.id DESC LIMIT %(most)s
    ) AS last
) AS recent
LEFT JOIN orchestration.sync_schedule AS schedule
    ON schedule.crm_source = entity.crm AND schedule.model_name = entity.sync_type AND schedule.mode = 'delta'
        AND schedule.declared

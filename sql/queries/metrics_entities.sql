-- Of each entity: when its last run began, how long it took and whether it failed; when the last good one began
-- (orchestration.good_run), and how many rows it left, living and deleted; the age from which it is stale; whether
-- schedules ask for it; its dead letters.
SELECT t.crm_source, t.sync_type,
    extract(epoch FROM last.start_time)::float8, extract(epoch FROM last.end_time - last.start_time)::float8,
    last.status = 'failed',
    extract(epoch FROM good.start_time)::float8, good.living::float8, (good.total - good.living)::float8,
    extract(epoch FROM t.stale_after)::float8,
    coalesce(s.enabled AND s.dagster_status IS DISTINCT FROM 'stopped' AND s.problem IS NULL, false),
    letters.pending, letters.waived
FROM orchestration.source_table AS t
    LEFT JOIN orchestration.sync_schedule AS s
        ON s.crm_source = t.crm_source AND s.model_name = t.sync_type AND s.mode = 'delta' AND s.declared
    LEFT JOIN LATERAL (
        SELECT h.start_time, h.end_time, h.status FROM orchestration.sync_history AS h
        WHERE h.crm_source = t.crm_source AND h.sync_type = t.sync_type
            AND NOT coalesce((h.configuration ->> 'dry_run')::boolean, false)
            AND coalesce(h.configuration ->> 'mode', '') NOT IN ('replay', 'refused', 'webhook')
        ORDER BY h.id DESC LIMIT 1
    ) AS last ON true
    LEFT JOIN LATERAL (
        SELECT g.start_time, (g.performance_metrics ->> 'total_rows')::bigint AS total,
            (g.performance_metrics ->> 'living_rows')::bigint AS living
        FROM orchestration.good_run AS g
        WHERE g.crm_source = t.crm_source AND g.sync_type = t.sync_type ORDER BY g.id DESC LIMIT 1
    ) AS good ON true
    CROSS JOIN LATERAL (
        SELECT count(*) FILTER (WHERE d.status = 'pending') AS pending,
            count(*) FILTER (WHERE d.status = 'waived') AS waived
        FROM orchestration.dead_letter AS d
        WHERE d.crm_source = t.crm_source AND d.sync_type = t.sync_type AND d.status IN ('pending', 'waived')
    ) AS letters
ORDER BY 1, 2

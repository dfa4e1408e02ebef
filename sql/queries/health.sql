-- The last run, the runs within the hours of the rate, how old the last good run is, how columns stood after the last one
-- that loaded, the refused ones and the pending dead letters of each entity of the arrays `crms`, `sync_types` and `hours`,
-- in their order. Counted are the runs that asked for all that is new. The last run is shown whatever it asked for.
WITH real AS NOT MATERIALIZED (
    SELECT * FROM orchestration.sync_history
    WHERE NOT coalesce((configuration ->> 'dry_run')::boolean, false)
      AND coalesce(configuration ->> 'mode', '') NOT IN ('replay', 'refused', 'webhook')
), counted AS NOT MATERIALIZED (
    SELECT * FROM orchestration.sync_history WHERE orchestration.asks_for_news(configuration)
)
SELECT last.*, clock_timestamp() - last.start_time AS age, clock_timestamp() - begun.start_time AS started_age,
    clock_timestamp() - good.start_time AS good_age, ended.*, loaded.metrics AS loaded_metrics, refused.*, waiting.*
FROM unnest(%(crms)s::text[], %(sync_types)s::text[], %(hours)s::float8[])
         WITH ORDINALITY AS entity (crm, sync_type, hours, n)
-- Worked out before, so that a row outside of it is left out by comparing two times, before its documents are read.
CROSS JOIN LATERAL (SELECT clock_timestamp() - make_interval(secs => entity.hours * 3600) AS since OFFSET 0) AS rate
LEFT JOIN LATERAL (
    SELECT * FROM real WHERE crm_source = entity.crm AND real.sync_type = entity.sync_type ORDER BY id DESC LIMIT 1
) AS last ON true
LEFT JOIN LATERAL (
    SELECT start_time FROM counted
    WHERE crm_source = entity.crm AND counted.sync_type = entity.sync_type ORDER BY id DESC LIMIT 1
) AS begun ON true
LEFT JOIN LATERAL (
    SELECT g.start_time FROM orchestration.good_run AS g
    WHERE g.crm_source = entity.crm AND g.sync_type = entity.sync_type ORDER BY g.id DESC LIMIT 1
) AS good ON true
CROSS JOIN LATERAL (
    SELECT count(*) AS runs, count(*) FILTER (WHERE status = 'success') AS successes,
        (array_agg(status ORDER BY id DESC))[1] AS last_ending,
        (array_agg(coalesce(error_message, performance_metrics ->> 'partial_reason',
                            records_failed || ' records are in the dead letters') ORDER BY id DESC)
            FILTER (WHERE status <> 'success'))[1] AS last_error,
        max(coalesce(end_time, start_time)) FILTER (WHERE status <> 'success') AS last_error_at
    FROM counted
    WHERE crm_source = entity.crm AND counted.sync_type = entity.sync_type
      AND status NOT IN ('running', 'cancelled')
      AND start_time >= rate.since
) AS ended
LEFT JOIN LATERAL (
    SELECT l.performance_metrics AS metrics FROM orchestration.loaded_run AS l
    WHERE l.crm_source = entity.crm AND l.sync_type = entity.sync_type AND l.performance_metrics ? 'columns_filled'
    ORDER BY l.id DESC LIMIT 1
) AS loaded ON true
CROSS JOIN LATERAL (
    SELECT count(*) AS refusals, (array_agg(error_message ORDER BY id DESC))[1] AS refusal
    FROM orchestration.sync_history
    WHERE crm_source = entity.crm AND sync_type = entity.sync_type AND configuration ->> 'mode' = 'refused'
      AND id > coalesce(last.id, 0)
) AS refused
CROSS JOIN LATERAL (
    SELECT count(*) AS pending, count(*) FILTER (WHERE record_key IS NULL) AS keyless FROM orchestration.dead_letter d
    WHERE d.status = 'pending' AND d.crm_source = entity.crm AND d.sync_type = entity.sync_type
) AS waiting
ORDER BY entity.n

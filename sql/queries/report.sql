-- How each entity that is synced by schedule did between `since` and `now`, of the CRMs `crms`: its runs, what they read,
-- what failed, its dead letters, when its last good run began, and how old that may be. How it ended last is told of the
-- runs that asked for all that is new; a cancelled one has no ending.
SELECT s.crm_source AS crm, s.model_name AS entity, s.enabled,
    coalesce(t.stale_after, 2 * s.every * ('1 ' || s.period)::interval, interval '2 days') AS target, h.*, good.good_at, d.*
FROM orchestration.sync_schedule AS s
LEFT JOIN orchestration.source_table AS t ON t.crm_source = s.crm_source AND t.sync_type = s.model_name
CROSS JOIN LATERAL (
    SELECT count(*) AS runs, count(*) FILTER (WHERE r.status = 'failed') AS failed,
        count(*) FILTER (WHERE r.status = 'partial') AS partial,
        coalesce(sum(r.records_processed), 0) AS records, coalesce(sum(r.records_created), 0) AS created,
        coalesce(sum(r.records_updated), 0) AS updated,
        (array_agg(r.run_id ORDER BY r.id DESC) FILTER (WHERE news.asked AND r.status = 'failed'))[1] AS failed_run,
        (array_agg(r.error_message ORDER BY r.id DESC) FILTER (WHERE news.asked AND r.status = 'failed'))[1] AS error,
        (array_agg(r.status ORDER BY r.id DESC) FILTER (WHERE news.asked AND r.status NOT IN ('running', 'cancelled')))[1]
            AS last_status
    FROM orchestration.sync_history AS r
    CROSS JOIN LATERAL (SELECT orchestration.asks_for_news(r.configuration) AS asked) AS news
    WHERE r.crm_source = s.crm_source AND r.sync_type = s.model_name
        AND r.start_time BETWEEN %(since)s AND %(now)s AND NOT coalesce((r.configuration ->> 'dry_run')::boolean, false)
        AND coalesce(r.configuration ->> 'mode', '') <> 'refused'
) AS h
LEFT JOIN LATERAL (
    SELECT g.start_time AS good_at FROM orchestration.good_run AS g
    WHERE g.crm_source = s.crm_source AND g.sync_type = s.model_name ORDER BY g.id DESC LIMIT 1
) AS good ON true
CROSS JOIN LATERAL (
    SELECT count(*) AS waiting, count(*) FILTER (WHERE l.created_at > %(since)s) AS new_waiting
    FROM orchestration.dead_letter AS l
    WHERE l.crm_source = s.crm_source AND l.sync_type = s.model_name AND l.status = 'pending'
) AS d
WHERE s.mode = 'delta' AND s.crm_source = ANY(%(crms)s::text[])
ORDER BY array_position(%(crms)s::text[], s.crm_source::text), s.model_name

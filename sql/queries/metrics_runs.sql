-- The runs that began within a day, by entity and status: how many, their records by what became of them, their requests.
SELECT h.crm_source, h.sync_type, h.status, count(*), sum(h.records_created), sum(h.records_updated),
    sum(h.records_failed), coalesce(sum((h.performance_metrics ->> 'total_api_calls')::bigint), 0)::bigint
FROM orchestration.sync_history AS h
    JOIN orchestration.source_table AS t ON t.crm_source = h.crm_source AND t.sync_type = h.sync_type
WHERE h.start_time > now() - interval '1 day' AND NOT coalesce((h.configuration ->> 'dry_run')::boolean, false)
    AND coalesce(h.configuration ->> 'mode', '') <> 'refused'
GROUP BY 1, 2, 3
ORDER BY 1, 2, 3

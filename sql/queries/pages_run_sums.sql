-- Sums of runs by equal spans of time, the newest first: what the charts of the page of runs draw.
--
-- crm, entity, status, mode (null: any), since (when a run began at the earliest, and where a span begins), width
SELECT date_bin(%(width)s, h.start_time, %(since)s) AS at, count(*) AS runs,
    count(*) FILTER (WHERE h.status = 'failed') AS failed, count(*) FILTER (WHERE h.status = 'partial') AS partial,
    sum(h.records_processed)::bigint AS records, sum(h.records_failed)::bigint AS records_failed,
    round(avg(extract(epoch FROM h.end_time - h.start_time)), 1)::float8 AS average_seconds,
    round(max(extract(epoch FROM h.end_time - h.start_time)), 1)::float8 AS longest_seconds,
    coalesce(sum((h.performance_metrics ->> 'total_api_calls')::bigint), 0)::bigint AS api_calls
FROM orchestration.sync_history AS h
WHERE (%(crm)s::text IS NULL OR h.crm_source = %(crm)s) AND (%(entity)s::text IS NULL OR h.sync_type = %(entity)s)
    AND (%(status)s::text IS NULL OR h.status = %(status)s)
    AND (%(mode)s::text IS NULL OR h.configuration ->> 'mode' = %(mode)s)
    AND h.start_time >= %(since)s
GROUP BY 1 ORDER BY 1 DESC

-- What do the tables lack?
SELECT q.crm_source, count(*) AS tables, sum(q.total_rows) AS total_rows, sum(q.dead_letters) AS dead_letters,
    sum(q.unmapped) AS unmapped, sum((SELECT count(DISTINCT a.source_key) FROM marts.activity_timeline AS a
        WHERE a.source_table = q.table_name AND a.refused_amount IS NOT NULL)) AS refused_amounts,
    count(*) FILTER (WHERE q.stale) AS stale_tables
FROM marts.data_quality AS q GROUP BY q.crm_source ORDER BY q.crm_source

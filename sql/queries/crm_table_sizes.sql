-- The tables of the schema crm with their living and dead rows and their size; partitions count to their table.
SELECT coalesce(p.relname, c.relname)::text AS table, sum(s.n_live_tup)::bigint AS rows,
    sum(s.n_dead_tup)::bigint AS dead,
    round(sum(pg_total_relation_size(c.oid)) / 2 ^ 20::numeric, 1)::float8 AS mb
FROM pg_class AS c JOIN pg_stat_all_tables AS s ON s.relid = c.oid
    LEFT JOIN pg_inherits AS i ON i.inhrelid = c.oid LEFT JOIN pg_class AS p ON p.oid = i.inhparent
WHERE c.relnamespace = 'crm'::regnamespace AND c.relkind = 'r'
GROUP BY 1 ORDER BY 1

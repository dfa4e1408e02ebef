-- The indexes of the schema crm with their use and size, the largest first; those of partitions count to their table's.
SELECT coalesce(p.relname, i.relname)::text AS index, coalesce(pt.relname, t.relname)::text AS table,
    sum(s.idx_scan)::bigint AS used, round(sum(pg_relation_size(i.oid)) / 2 ^ 20::numeric, 1)::float8 AS mb,
    bool_or(x.indisunique) AS is_unique, bool_and(x.indisvalid) AS is_valid
FROM pg_index AS x JOIN pg_class AS i ON i.oid = x.indexrelid JOIN pg_class AS t ON t.oid = x.indrelid
    JOIN pg_stat_all_indexes AS s ON s.indexrelid = i.oid
    LEFT JOIN pg_inherits AS h ON h.inhrelid = i.oid LEFT JOIN pg_class AS p ON p.oid = h.inhparent
    LEFT JOIN pg_inherits AS th ON th.inhrelid = t.oid LEFT JOIN pg_class AS pt ON pt.oid = th.inhparent
WHERE t.relnamespace = 'crm'::regnamespace AND t.relkind = 'r'
GROUP BY 1, 2 ORDER BY sum(pg_relation_size(i.oid)) DESC

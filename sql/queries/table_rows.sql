-- What is known of the size of a table without reading it; of a table in parts the sum of these. An estimate below zero:
-- it was never analysed. A view has no size, and is none.
--
-- table
SELECT c.relkind IN ('r', 'p') AS is_table,
    coalesce(sum(pg_relation_size(p.oid)), 0)::bigint AS bytes,
    CASE WHEN bool_or(p.reltuples < 0 AND pg_relation_size(p.oid) > 0) THEN -1
         ELSE coalesce(sum(greatest(p.reltuples, 0)), 0)::bigint END AS estimate
FROM pg_class AS c
    LEFT JOIN LATERAL pg_partition_tree(c.oid) AS t ON c.relkind = 'p' AND t.isleaf
    LEFT JOIN pg_class AS p ON p.oid = CASE c.relkind WHEN 'p' THEN t.relid ELSE c.oid END
WHERE c.oid = %s::regclass
GROUP BY c.oid, c.relkind

-- The tables of the schema pipedesk with their rows, as PostgreSQL estimates them, and their bytes, the largest first.
SELECT c.relname AS name, CASE WHEN c.reltuples < 0 THEN coalesce(s.n_live_tup, 0) ELSE c.reltuples::bigint END AS rows,
    pg_total_relation_size(c.oid) AS bytes
FROM pg_class AS c LEFT JOIN pg_stat_user_tables AS s ON s.relid = c.oid
WHERE c.relnamespace = to_regnamespace('pipedesk') AND c.relkind = 'r' AND NOT c.relispartition
ORDER BY 2 DESC, 3 DESC, 1

-- How large the tables are: rows as the statistics have them, bytes without indexes, and how many indexes they have.
SELECT format('%s.%s', n.nspname, c.relname) AS name, greatest(c.reltuples, 0)::bigint AS rows,
    pg_table_size(c.oid) AS bytes, (SELECT count(*) FROM pg_index AS i WHERE i.indrelid = c.oid) AS indexes
FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'm') AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'

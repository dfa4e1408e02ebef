-- The relations of these schemas that this user owns, with their columns in order, those that the role `reader` cannot
-- read, and those of the key. Parts of a table are left out, for they are read through it.
SELECT n.nspname AS schema, c.relname AS name, c.relkind::text AS kind, obj_description(c.oid, 'pg_class') AS comment,
    array_agg(a.attname::text ORDER BY a.attnum) AS columns,
    array_agg(format_type(a.atttypid, a.atttypmod) ORDER BY a.attnum) AS types,
    coalesce(array_agg(a.attname::text ORDER BY a.attnum) FILTER (WHERE a.attnum = ANY (i.indkey)), '{}') AS keys,
    coalesce(array_agg(a.attname::text ORDER BY a.attnum)
             FILTER (WHERE NOT has_column_privilege(:reader, c.oid, a.attnum, 'SELECT')), '{}') AS unreadable
FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
    JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    LEFT JOIN pg_index AS i ON i.indrelid = c.oid AND i.indisprimary
WHERE n.nspname = ANY(:schemas) AND c.relkind IN ('r', 'p', 'v', 'm') AND NOT c.relispartition
    AND c.relpersistence <> 't' AND pg_has_role(c.relowner, 'USAGE')
GROUP BY n.nspname, c.relname, c.relkind, c.oid
ORDER BY 1, 2

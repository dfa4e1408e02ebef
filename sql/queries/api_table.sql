-- A relation that analysts may read: its columns in order with type and meaning, its key, and about how many rows it
-- has. Columns are those that the role reads; no row for another relation.
--
-- schema, name, role, shown (the relation that is read: a view of the schema masked, or the table itself)
SELECT a.attname AS name, format_type(a.atttypid, a.atttypmod) AS type, col_description(base.oid, b.attnum) AS meaning,
    nullif(greatest(base.reltuples, -1), -1)::bigint AS rows,
    array_position(i.indkey::smallint[], b.attnum) AS key_place
FROM pg_class AS base JOIN pg_namespace AS n ON n.oid = base.relnamespace
    JOIN pg_class AS shown ON shown.oid = to_regclass(%(shown)s)
    JOIN pg_attribute AS a ON a.attrelid = shown.oid AND a.attnum > 0 AND NOT a.attisdropped
    LEFT JOIN pg_attribute AS b ON b.attrelid = base.oid AND b.attname = a.attname AND b.attnum > 0
    LEFT JOIN pg_index AS i ON i.indrelid = base.oid AND i.indisprimary
WHERE n.nspname = %(schema)s AND base.relname = %(name)s AND base.relkind IN ('r', 'p', 'v', 'm')
    AND n.nspname IN ('answers', 'crm', 'identity', 'marts', 'orchestration', 'pipedesk', 'public')
    AND has_column_privilege(%(role)s, shown.oid, a.attnum, 'SELECT')
ORDER BY a.attnum

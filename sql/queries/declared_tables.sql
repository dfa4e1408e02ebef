-- What the catalog says of tables: each one's comment, columns and valid indexes, and whether it is said how long a row
-- may be. An index is invalid where a build was ended.
-- Parameters: schemas and names, two arrays of the same length.
SELECT n.nspname, c.relname, obj_description(c.oid, 'pg_class'),
    (SELECT jsonb_object_agg(a.attname, jsonb_build_array(
         a.atttypid::regtype::text, a.attnotnull, col_description(c.oid, a.attnum)))
     FROM pg_attribute AS a
     WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped),
    (SELECT jsonb_object_agg(named.relname, jsonb_build_array(i.indisunique, keys.names))
     FROM pg_index AS i JOIN pg_class AS named ON named.oid = i.indexrelid,
         LATERAL (SELECT jsonb_agg(a.attname ORDER BY k.place) -- NULL where it is an expression
                  FROM unnest(i.indkey::int2[]) WITH ORDINALITY AS k (attnum, place)
                      LEFT JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum = k.attnum) AS keys (names)
     WHERE i.indrelid = c.oid AND i.indisvalid),
    c.relkind = 'p' OR coalesce(array_to_string(c.reloptions, ' ') LIKE '%%toast_tuple_target=%%', false)
FROM unnest(%(schemas)s::text[], %(names)s::text[]) AS asked (nspname, relname)
    JOIN pg_namespace AS n ON n.nspname = asked.nspname
    JOIN pg_class AS c ON c.relnamespace = n.oid AND c.relname = asked.relname AND c.relkind IN ('r', 'p')

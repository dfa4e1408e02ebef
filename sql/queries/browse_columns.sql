-- A relation that analysts may read: its columns in order with type and meaning, its key, what an index can find or
-- order, and about how many rows it has. Columns are those that the role reads; no row for another relation.
--
-- plain: the value is that of the table, and not a mask of it, so that an index of the table serves. indexed: the first
-- column of such an index. ties: about how many rows have the commonest value, or none. bytewise: texts are in the order
-- of their bytes, so that an index finds a beginning.
--
-- schema, name, role, shown (the relation that is read: a view of the schema masked, or the table itself)
SELECT a.attname AS name, format_type(a.atttypid, a.atttypmod) AS type, col_description(base.oid, b.attnum) AS meaning,
    coalesce(col_description(shown.oid, a.attnum), col_description(base.oid, b.attnum)) AS shown_meaning,
    nullif(greatest(base.reltuples, -1), -1)::bigint AS rows, obj_description(base.oid, 'pg_class') AS about,
    base.relkind IN ('v', 'm') AS is_view, base.relrowsecurity AS is_of_organization,
    array_position(i.indkey::smallint[], b.attnum) AS key_place, b.attnotnull AS required,
    -- PostgreSQL 15 writes the alias of the view's only table, `t`, where later ones leave it out.
    shown.oid = base.oid OR plain.names && ARRAY[quote_ident(a.attname), 't.' || quote_ident(a.attname)] AS plain,
    CASE WHEN i.indnkeyatts = 1 AND i.indkey[0] = b.attnum THEN 1
         ELSE greatest((s.most_common_freqs)[1], CASE WHEN s.n_distinct > 0 THEN 1 / s.n_distinct END)
             * greatest(base.reltuples, 0) END AS ties,
    EXISTS (
        SELECT FROM pg_index AS x JOIN pg_class AS xc ON xc.oid = x.indexrelid JOIN pg_am AS m ON m.oid = xc.relam
        WHERE x.indrelid = base.oid AND x.indkey[0] = b.attnum AND m.amname = 'btree' AND x.indisvalid
            AND (x.indpred IS NULL OR pg_get_expr(x.indpred, x.indrelid) = format('(%%I IS NOT NULL)', b.attname))
    ) AS indexed,
    coalesce(c.collname IN ('C', 'POSIX', 'C.UTF-8', 'ucs_basic')
        OR (c.collname = 'default' AND d.datcollate IN ('C', 'POSIX', 'C.UTF-8', 'C.utf8')), false) AS bytewise
FROM pg_class AS base JOIN pg_namespace AS n ON n.oid = base.relnamespace
    JOIN pg_class AS shown ON shown.oid = to_regclass(%(shown)s)
    JOIN pg_attribute AS a ON a.attrelid = shown.oid AND a.attnum > 0 AND NOT a.attisdropped
    CROSS JOIN LATERAL (
        SELECT array_agg(btrim(regexp_replace(line, '^ *SELECT ', ''), ' ,')) AS names
        FROM string_to_table(CASE WHEN shown.oid <> base.oid THEN pg_get_viewdef(shown.oid, 0) END, E'\n') AS line
    ) AS plain
    LEFT JOIN pg_attribute AS b ON b.attrelid = base.oid AND b.attname = a.attname AND b.attnum > 0
    LEFT JOIN pg_index AS i ON i.indrelid = base.oid AND i.indisprimary
    LEFT JOIN pg_stats AS s ON s.schemaname = n.nspname AND s.tablename = base.relname AND s.attname = b.attname
    LEFT JOIN pg_collation AS c ON c.oid = a.attcollation
    JOIN pg_database AS d ON d.datname = current_database()
WHERE n.nspname = %(schema)s AND base.relname = %(name)s AND base.relkind IN ('r', 'p', 'v', 'm')
    AND (n.nspname IN ('accounts', 'answers', 'crm', 'identity', 'marts', 'orchestration', 'pipedesk', 'public')
         OR n.nspname IN (SELECT source FROM orchestration.account))
    AND has_column_privilege(%(role)s, shown.oid, a.attnum, 'SELECT')
ORDER BY a.attnum

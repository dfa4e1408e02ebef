-- A relation that analysts may read: its columns in order with type and meaning, its key, what an index can find or
-- order, and about how many rows it has. Columns are those that the role reads; no row for another relation.
--
-- Key and indexes are those of the table below: of a view that only chooses rows and columns of one table that table,
-- of a view of all accounts the table of the account without a name, whose key the account goes before. A column of a
-- view is that of the table where it has its name and stands in the view as it is. key_size: columns of the key, which
-- the role may not read all. accounts: whose rows a view of all accounts may have.
--
-- plain: the value is that of the table, and not a mask of it, so that an index of the table serves. indexed: the first
-- column of such an index. ties: about how many rows have the commonest value, or none. bytewise: texts are in the order
-- of their bytes, so that an index finds a beginning.
--
-- schema, name, role, shown (the relation that is read: a view of the schema masked, or the table itself)
WITH relation AS MATERIALIZED (
    SELECT base.oid, n.nspname AS schema, base.relname AS name, base.relkind AS kind, base.reltuples, base.relrowsecurity,
        to_regclass(%(shown)s)::oid AS shown, n.nspname = 'accounts' AS of_accounts, single.oid AS single
    FROM pg_class AS base JOIN pg_namespace AS n ON n.oid = base.relnamespace
        LEFT JOIN LATERAL (
            -- What may be updated through a view (4) is a row of its only table.
            SELECT min(p.refobjid) AS oid
            FROM pg_rewrite AS w JOIN pg_depend AS p ON p.classid = 'pg_rewrite'::regclass AND p.objid = w.oid
                AND p.refclassid = 'pg_class'::regclass AND p.refobjid <> w.ev_class
            WHERE w.ev_class = base.oid AND base.relkind = 'v' AND pg_relation_is_updatable(base.oid, false) & 4 = 4
            HAVING count(DISTINCT p.refobjid) = 1
        ) AS single ON true
    WHERE n.nspname = %(schema)s AND base.relname = %(name)s AND base.relkind IN ('r', 'p', 'v', 'm')
        AND (n.nspname IN ('accounts', 'answers', 'crm', 'identity', 'marts', 'orchestration', 'pipedesk', 'public')
             OR n.nspname IN (SELECT source FROM orchestration.account))
), below AS MATERIALIZED (
    SELECT c.oid, c.relname AS name, c.relnamespace::regnamespace::text AS schema, c.reltuples, i.indkey, i.indnkeyatts
    FROM relation AS r
        JOIN pg_class AS c ON c.oid = CASE
            WHEN r.of_accounts THEN to_regclass(format('public.%%I', r.name)) WHEN r.kind = 'v' THEN r.single ELSE r.oid END
        LEFT JOIN pg_index AS i ON i.indrelid = c.oid AND i.indisprimary
), names AS MATERIALIZED (
    -- Of the masked view the columns that are no masks, of a view on one table those that are the table's.
    SELECT ARRAY(
            SELECT btrim(regexp_replace(line, '^ *SELECT ', ''), ' ,')
            FROM string_to_table(CASE WHEN r.shown <> r.oid THEN pg_get_viewdef(r.shown, 0) END, E'\n') AS line
        ) AS plain, ARRAY(
            SELECT btrim(regexp_replace(line, '^ *(SELECT )?(\w+\.)?', ''), ' ,')
            FROM string_to_table(CASE WHEN r.single IS NOT NULL THEN pg_get_viewdef(r.oid, 0) END, E'\n') AS line
        ) AS same
    FROM relation AS r
)
SELECT a.attname AS name, format_type(a.atttypid, a.atttypmod) AS type, col_description(r.oid, o.attnum) AS meaning,
    coalesce(col_description(r.shown, a.attnum), col_description(r.oid, o.attnum)) AS shown_meaning,
    nullif(greatest(r.reltuples, -1), -1)::bigint AS rows, obj_description(r.oid, 'pg_class') AS about,
    r.kind IN ('v', 'm') AS is_view, r.relrowsecurity AS is_of_organization,
    CASE WHEN r.of_accounts AND a.attname = 'account' THEN -1
         ELSE array_position(below.indkey::smallint[], b.attnum) END AS key_place,
    below.indnkeyatts + r.of_accounts::int AS key_size, b.attnotnull AS required,
    -- PostgreSQL 15 writes the alias of the view's only table, `t`, where later ones leave it out.
    r.shown = r.oid OR names.plain && ARRAY[quote_ident(a.attname), 't.' || quote_ident(a.attname)] AS plain,
    CASE WHEN below.indnkeyatts = 1 AND below.indkey[0] = b.attnum THEN 1
         ELSE greatest((s.most_common_freqs)[1], CASE WHEN s.n_distinct > 0 THEN 1 / s.n_distinct END)
             * greatest(below.reltuples, 0) END AS ties,
    EXISTS (
        SELECT FROM pg_index AS x JOIN pg_class AS xc ON xc.oid = x.indexrelid JOIN pg_am AS m ON m.oid = xc.relam
        WHERE x.indrelid = below.oid AND x.indkey[0] = b.attnum AND m.amname = 'btree' AND x.indisvalid
            AND (x.indpred IS NULL OR pg_get_expr(x.indpred, x.indrelid) = format('(%%I IS NOT NULL)', b.attname))
    ) AS indexed,
    coalesce(c.collname IN ('C', 'POSIX', 'C.UTF-8', 'ucs_basic')
        OR (c.collname = 'default' AND d.datcollate IN ('C', 'POSIX', 'C.UTF-8', 'C.utf8')), false) AS bytewise,
    CASE WHEN r.of_accounts THEN ARRAY(
        SELECT DISTINCT unnest(ARRAY[y.crm, y.source]) FROM orchestration.account AS y
        WHERE to_regclass(format('%%I.%%I', y.source, r.name)) IS NOT NULL
    ) END AS accounts
FROM relation AS r CROSS JOIN names LEFT JOIN below ON true
    JOIN pg_attribute AS a ON a.attrelid = r.shown AND a.attnum > 0 AND NOT a.attisdropped
    LEFT JOIN pg_attribute AS o ON o.attrelid = r.oid AND o.attname = a.attname AND o.attnum > 0
    LEFT JOIN pg_attribute AS b ON b.attrelid = below.oid AND b.attname = a.attname AND b.attnum > 0
        AND (r.single IS NULL OR quote_ident(a.attname) = ANY (names.same))
    LEFT JOIN pg_stats AS s ON s.schemaname = below.schema AND s.tablename = below.name AND s.attname = b.attname
    LEFT JOIN pg_collation AS c ON c.oid = a.attcollation
    JOIN pg_database AS d ON d.datname = current_database()
WHERE has_column_privilege(%(role)s, r.shown, a.attnum, 'SELECT')
ORDER BY a.attnum

-- What is said of the relations of these schemas and of their columns, whose part each is, and what a view reads.
-- Of relations that this user owns.
SELECT n.nspname AS schema, c.relname AS relation, c.relkind::text AS kind, d.objsubid AS number,
    d.attname AS column, d.description AS comment,
    CASE WHEN c.relispartition THEN (
        SELECT pn.nspname || '.' || p.relname FROM pg_inherits AS i JOIN pg_class AS p ON p.oid = i.inhparent
            JOIN pg_namespace AS pn ON pn.oid = p.relnamespace WHERE i.inhrelid = c.oid) END AS whole,
    CASE WHEN d.objsubid = 0 AND c.relkind = 'v' THEN (
        SELECT array_agg(DISTINCT rn.nspname || '.' || r.relname) FROM pg_rewrite AS w
            JOIN pg_depend AS u ON u.classid = 'pg_rewrite'::regclass AND u.objid = w.oid
                AND u.refclassid = 'pg_class'::regclass AND u.refobjid <> c.oid
            JOIN pg_class AS r ON r.oid = u.refobjid JOIN pg_namespace AS rn ON rn.oid = r.relnamespace
        WHERE w.ev_class = c.oid) END AS reads
FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
    CROSS JOIN LATERAL (
        SELECT 0 AS objsubid, NULL::name AS attname, obj_description(c.oid, 'pg_class') AS description
        UNION ALL
        SELECT a.attnum, a.attname, s.description
        FROM pg_attribute AS a
            LEFT JOIN pg_description AS s ON s.classoid = 'pg_class'::regclass AND s.objoid = a.attrelid
                AND s.objsubid = a.attnum
        WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    ) AS d
WHERE n.nspname = ANY(:schemas) AND c.relkind IN ('r', 'p', 'v', 'm') AND c.relpersistence <> 't'
    AND pg_has_role(c.relowner, 'USAGE')
ORDER BY 1, 2, 4

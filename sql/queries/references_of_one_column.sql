-- The foreign keys of these schemas: of one column, or of one beside the organization.
SELECT n.nspname AS schema, c.relname AS relation, a.attname AS column,
    tn.nspname AS to_schema, t.relname AS to_relation, b.attname AS to_column
FROM pg_constraint AS k
    JOIN pg_class AS c ON c.oid = k.conrelid JOIN pg_namespace AS n ON n.oid = c.relnamespace
    JOIN pg_class AS t ON t.oid = k.confrelid JOIN pg_namespace AS tn ON tn.oid = t.relnamespace
    CROSS JOIN LATERAL unnest(k.conkey, k.confkey) AS u (here, there)
    JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum = u.here AND a.attname <> 'organization_id'
    JOIN pg_attribute AS b ON b.attrelid = t.oid AND b.attnum = u.there
WHERE k.contype = 'f' AND n.nspname = ANY(:schemas) AND NOT c.relispartition AND NOT t.relispartition
    AND (SELECT count(*) FROM unnest(k.conkey) AS o (number)
         JOIN pg_attribute AS x ON x.attrelid = c.oid AND x.attnum = o.number
         WHERE x.attname <> 'organization_id') = 1
ORDER BY 1, 2, 3

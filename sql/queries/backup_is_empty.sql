-- Returns a relation of this database that is no part of PostgreSQL or of an extension; null where there is none.
SELECT (
    SELECT format('%I.%I', n.nspname, c.relname)
    FROM pg_class AS c
        JOIN pg_namespace AS n ON n.oid = c.relnamespace
    WHERE n.nspname NOT LIKE 'pg\_%' AND n.nspname <> 'information_schema'
        AND NOT EXISTS (SELECT FROM pg_depend AS d WHERE d.objid = c.oid AND d.deptype = 'e')
    ORDER BY 1 LIMIT 1
) AS relation

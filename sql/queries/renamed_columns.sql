-- The columns of tables whose comment ends as `pattern` says, with what it says that they were called before.
SELECT n.nspname, c.relname, a.attname, substring(d.description FROM %(pattern)s)
FROM pg_description AS d
    JOIN pg_class AS c ON c.oid = d.objoid AND c.relkind IN ('r', 'p')
    JOIN pg_namespace AS n ON n.oid = c.relnamespace
    JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum = d.objsubid AND NOT a.attisdropped
WHERE d.classoid = 'pg_class'::regclass AND d.description ~ %(pattern)s
ORDER BY 1, 2, 3

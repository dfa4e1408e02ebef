-- The columns of tables whose comment says that they hold a hash.
-- Parameters: tables, an array of their names, and what such a comment says.
SELECT asked.name AS table, a.attname AS column
FROM unnest(%(tables)s::text[]) AS asked (name)
    JOIN pg_attribute AS a ON a.attrelid = to_regclass(asked.name) AND a.attnum > 0 AND NOT a.attisdropped
    JOIN pg_description AS d ON d.classoid = 'pg_class'::regclass AND d.objoid = a.attrelid AND d.objsubid = a.attnum
WHERE position(%(said)s IN d.description) > 0
ORDER BY 1, 2

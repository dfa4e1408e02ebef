-- What comments of tables say that is kept as a hash (`hash`: of a column) or not at all (`drop`: of the table, which names
-- the columns between backquotes).
-- Parameters: tables, an array of their names; hashed, what the comment of a hashed column says; dropped, a regular
-- expression whose group are the names in the comment of a table.
SELECT asked.name AS table, a.attname AS column, 'hash' AS done
FROM unnest(%(tables)s::text[]) AS asked (name)
    JOIN pg_attribute AS a ON a.attrelid = to_regclass(asked.name) AND a.attnum > 0 AND NOT a.attisdropped
    JOIN pg_description AS d ON d.classoid = 'pg_class'::regclass AND d.objoid = a.attrelid AND d.objsubid = a.attnum
WHERE position(%(hashed)s IN d.description) > 0
UNION ALL
SELECT asked.name, found.names[1], 'drop'
FROM unnest(%(tables)s::text[]) AS asked (name)
    JOIN pg_description AS d ON d.classoid = 'pg_class'::regclass AND d.objoid = to_regclass(asked.name) AND d.objsubid = 0,
    LATERAL regexp_matches(substring(d.description FROM %(dropped)s), '`([^`]+)`', 'g') AS found (names)
ORDER BY 1, 2

-- The columns of a table's primary key, and whether its constraint and index are valid.
SELECT c.convalidated AND i.indisvalid AND i.indisunique AS valid,
       array_agg(a.attname::text ORDER BY k.n) AS columns, bool_and(a.attnotnull) AS not_null
FROM pg_constraint c
    JOIN pg_index i ON i.indexrelid = c.conindid
    CROSS JOIN unnest(c.conkey) WITH ORDINALITY k (attnum, n)
    JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = k.attnum
WHERE c.conrelid = to_regclass(%s) AND c.contype = 'p'
GROUP BY 1

-- How the indexes and the foreign keys of `table` are dropped and made again. What a unique constraint needs stays.
SELECT 1 AS turn, i.indexrelid::regclass::text AS name, format('DROP INDEX %%s', i.indexrelid::regclass) AS dropped,
    pg_get_indexdef(i.indexrelid) AS made
FROM pg_index AS i
WHERE i.indrelid = %(table)s::regclass AND NOT i.indisunique
UNION ALL
SELECT 2, k.conname, format('ALTER TABLE %%s DROP CONSTRAINT %%I', %(table)s::regclass, k.conname),
    format('ALTER TABLE %%s ADD CONSTRAINT %%I %%s', %(table)s::regclass, k.conname, pg_get_constraintdef(k.oid))
FROM pg_constraint AS k
WHERE k.conrelid = %(table)s::regclass AND k.contype = 'f'
ORDER BY 1, 2

-- The indexes of the schema crm whose columns another one begins with. indkey as text ends with a blank, so that 1 2 is
-- not taken for the beginning of 1 23.
SELECT a.indexrelid::regclass::text AS index, b.indexrelid::regclass::text AS contained_in
FROM pg_index AS a JOIN pg_index AS b ON b.indrelid = a.indrelid AND b.indexrelid <> a.indexrelid
    JOIN pg_class AS t ON t.oid = a.indrelid
WHERE t.relnamespace = 'crm'::regnamespace AND t.relkind IN ('r', 'p') AND NOT t.relispartition
    AND NOT a.indisunique AND a.indexprs IS NULL AND b.indexprs IS NULL
    AND starts_with(b.indkey::text || ' ', a.indkey::text || ' ')
    AND a.indpred IS NOT DISTINCT FROM b.indpred AND a.indclass[0] = b.indclass[0]

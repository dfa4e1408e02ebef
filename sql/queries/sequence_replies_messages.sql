-- The messages of the conversation `a` that the person wrote since a time; {table} and its columns are composed.
--
-- since
SELECT FROM {table} AS t,
    LATERAL jsonb_array_elements(CASE jsonb_typeof({messages}) WHEN 'array' THEN {messages} ELSE '[]' END) AS g
WHERE a.source_table = {table_name} AND {key} = a.source_key
    AND g ->> 'direction' IN ('incoming', 'inbound')
    AND CASE WHEN g ->> 'created_at' ~ '^[0-9]{{4}}-' THEN (g ->> 'created_at')::timestamptz
             ELSE a.occurred_at END > %(since)s

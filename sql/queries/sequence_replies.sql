-- Whether a person called, wrote or filled a form since a time, as the timeline has it: its kind. The timeline does not
-- say who wrote the last text of a conversation; that the messages do.
--
-- person, since; {table} and its columns are composed
SELECT a.kind FROM marts.activity_timeline AS a
WHERE a.person_id = %(person)s AND a.occurred_at > %(since)s AND a.kind IN ('call', 'text', 'form', 'email')
    AND (a.direction = 'inbound'
         OR a.kind = 'text' AND a.direction IS NULL AND EXISTS (
            SELECT FROM {table} AS t,
                LATERAL jsonb_array_elements(CASE jsonb_typeof({messages}) WHEN 'array' THEN {messages} ELSE '[]' END) AS g
            WHERE a.source_table = 'callrail_text_message' AND {key} = a.source_key
                AND g ->> 'direction' IN ('incoming', 'inbound')
                AND CASE WHEN g ->> 'created_at' ~ '^[0-9]{{4}}-' THEN (g ->> 'created_at')::timestamptz
                         ELSE a.occurred_at END > %(since)s))
ORDER BY a.occurred_at LIMIT 1

-- Opt-outs by a message that says STOP and no more. {table}, its columns and its CRM are composed.
INSERT INTO feed_consent
    SELECT coalesce(f.organization_id, %(organization)s), {table_name}, {key}, 'message', {crm},
        'opt_out', ARRAY['sms'], {phone}, NULL, said.at, NULL, true, said.at
    FROM {table} AS t
        LEFT JOIN crm.feed_source AS f ON f.crm = {crm},
        LATERAL (
            SELECT min(coalesce(CASE WHEN g ->> 'created_at' ~ '^[0-9]{{4}}-' THEN (g ->> 'created_at')::timestamptz END,
                                {last}, t.sync_created_at)) AS at
            FROM jsonb_array_elements(CASE jsonb_typeof({messages}) WHEN 'array' THEN {messages} ELSE '[]' END) AS g
            WHERE g ->> 'direction' IN ('incoming', 'inbound') AND lower(g ->> 'content') ~ %(stop)s) AS said
    WHERE said.at IS NOT NULL AND {phone} IS NOT NULL AND t.sync_updated_at > %(since)s

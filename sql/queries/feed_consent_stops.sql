-- Opt-outs by messages that say STOP and no more, of conversations that changed since `since`. The first of a conversation
-- is its fact `message`, and each later one a fact with its time, so that who says it again is heard again. One without a
-- time of its own cannot be told from the first. What a feed has read before, up to `known`, was seen when it came.
-- {table}, its columns and its CRM are composed.
INSERT INTO feed_consent
    SELECT said.organization_id, {table_name}, said.key,
        CASE WHEN said.is_timed AND said.at > coalesce(k.given_at, said.first_at)
             THEN 'message ' || to_char(said.at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') ELSE 'message' END,
        {crm}, 'opt_out', ARRAY['sms'], said.phone, NULL, said.at, NULL, true, said.at,
        CASE WHEN said.sync_updated_at > %(known)s THEN now() ELSE least(greatest(said.at, said.sync_created_at), now()) END
    FROM (
        SELECT coalesce(f.organization_id, %(organization)s) AS organization_id, {key} AS key, {phone} AS phone,
            t.sync_created_at, t.sync_updated_at, g.at IS NOT NULL AS is_timed,
            coalesce(g.at, {last}, t.sync_created_at) AS at,
            min(coalesce(g.at, {last}, t.sync_created_at)) OVER (PARTITION BY {key}) AS first_at
        FROM {table} AS t
            LEFT JOIN crm.feed_source AS f ON f.crm = {crm},
            LATERAL (
                SELECT CASE WHEN m ->> 'created_at' ~ '^[0-9]{{4}}-' THEN (m ->> 'created_at')::timestamptz END AS at
                FROM jsonb_array_elements(CASE jsonb_typeof({messages}) WHEN 'array' THEN {messages} ELSE '[]' END) AS m
                WHERE m ->> 'direction' IN ('incoming', 'inbound') AND lower(m ->> 'content') ~ %(stop)s) AS g
        WHERE {phone} IS NOT NULL AND t.sync_updated_at > %(since)s) AS said
        LEFT JOIN crm.consent_fact AS k ON k.organization_id = said.organization_id AND k.source_table = {table_name}
            AND k.source_key = said.key AND k.flag = 'message'

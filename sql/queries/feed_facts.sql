-- feed_fact: what is said of how people of the organization may be reached. feed_computed: the same as elements of
-- leads.consent; an opt-out is one that was taken back when it was given, and a consent that is not dated was taken back by
-- whatever took one back.
CREATE TEMP TABLE feed_fact ON COMMIT DROP AS
    SELECT f.*, m.person_id
    FROM crm.consent_fact AS f
        JOIN feed_member AS m ON m.source_table = f.source_table AND m.source_key = f.source_key
    WHERE f.organization_id = %(organization)s
    UNION ALL
    SELECT f.*, t.person_id
    FROM feed_person AS p
        JOIN identity.touch AS t ON t.person_id = p.person_id AND t.certainty = 'certain'
        JOIN crm.consent_fact AS f ON f.organization_id = %(organization)s
            AND f.source_table = t.source_table AND f.source_key = t.source_key
    WHERE NOT EXISTS (SELECT FROM identity.member AS m
                      WHERE m.source_table = f.source_table AND m.source_key = f.source_key)
    UNION ALL
    -- Of who is no known customer, what was said from a number is about that number.
    SELECT f.*, NULL
    FROM crm.consent_fact AS f
    WHERE f.organization_id = %(organization)s AND f.phone IS NOT NULL
        AND NOT EXISTS (
            SELECT FROM identity.member AS m JOIN identity.person AS p ON p.person_id = m.person_id AND p.kind = 'customer'
            WHERE m.source_table = f.source_table AND m.source_key = f.source_key)
        AND NOT EXISTS (
            SELECT FROM identity.touch AS t JOIN identity.person AS p ON p.person_id = t.person_id AND p.kind = 'customer'
            WHERE t.source_table = f.source_table AND t.source_key = f.source_key AND t.certainty = 'certain');
ANALYZE feed_fact;
CREATE TEMP TABLE feed_revoked ON COMMIT DROP AS
    SELECT f.person_id, c AS channel, max(CASE f.says WHEN 'opt_out' THEN f.given_at ELSE f.withdrawn_at END) AS at
    FROM feed_fact AS f, unnest(f.channels) AS c
    WHERE f.person_id IS NOT NULL AND (f.says = 'opt_out' OR f.says = 'consent' AND f.withdrawn_at IS NOT NULL)
    GROUP BY f.person_id, c;
ANALYZE feed_revoked;
CREATE TEMP TABLE feed_computed ON COMMIT DROP AS
    SELECT f.person_id, jsonb_agg(jsonb_strip_nulls(jsonb_build_object(
            'channel', c, 'at', feed_time.at, 'source', f.crm,
            'text_version', coalesce(nullif(btrim(f.proof), ''), f.flag),
            'record', concat_ws(' ', f.source_table, f.source_key), 'flag', f.flag,
            'undated', CASE WHEN f.says = 'consent' AND NOT f.is_dated THEN true END,
            'revoked_at', CASE WHEN f.says = 'opt_out' THEN feed_time.at
                               WHEN f.withdrawn_at IS NOT NULL OR f.is_dated THEN feed_time.withdrawn_at
                               ELSE feed_time.revoked_at END))
        ORDER BY f.given_at, f.source_table, f.source_key, f.flag, c) AS elements
    FROM feed_fact AS f CROSS JOIN unnest(f.channels) AS c
        LEFT JOIN feed_revoked AS r ON r.person_id = f.person_id AND r.channel = c,
        LATERAL (SELECT to_char(f.given_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS at,
            to_char(f.withdrawn_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS withdrawn_at,
            to_char(r.at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS revoked_at) AS feed_time
    WHERE f.says <> 'not_before' AND f.person_id IS NOT NULL
    GROUP BY f.person_id;
ANALYZE feed_computed

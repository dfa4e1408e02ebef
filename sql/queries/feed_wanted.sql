-- feed_wanted: a row per organization and person that is a lead, with what feed_said has of it, and who says so.
CREATE TEMP TABLE feed_standing ON COMMIT DROP AS
    SELECT s.* FROM feed_said AS s WHERE s.status IS NOT NULL AND NOT (s.status = 'won' AND s.is_off);
ANALYZE feed_standing;
CREATE TEMP TABLE feed_closed ON COMMIT DROP AS
    SELECT DISTINCT ON (organization_id, person_id) organization_id, person_id, said_at, source_table, source_key, word
    FROM feed_standing WHERE is_closed
    ORDER BY organization_id, person_id, said_at DESC, rank DESC, source_table, source_key;
ANALYZE feed_closed;
CREATE TEMP TABLE feed_decided ON COMMIT DROP AS
    SELECT DISTINCT ON (s.organization_id, s.person_id)
        s.organization_id, s.person_id, s.status, s.said_at, s.crm, s.source_table, s.source_key, s.word
    FROM feed_standing AS s LEFT JOIN feed_closed AS c USING (organization_id, person_id)
    WHERE s.status = 'won' OR c.said_at IS NULL OR s.reopens AND NOT s.is_closed AND s.said_at > c.said_at
        OR s.is_closed AND (s.source_table, s.source_key, s.word) = (c.source_table, c.source_key, c.word)
    -- Of those who say the same the first: since then it holds.
    ORDER BY s.organization_id, s.person_id, s.is_closed, s.rank DESC, s.said_at, s.source_table, s.source_key;
ANALYZE feed_decided;
CREATE TEMP TABLE feed_came_by ON COMMIT DROP AS
    SELECT c.organization_id, c.person_id, coalesce(a.source, c.source) AS source, c.source_table, c.source_key,
        c.edited_at
    FROM (SELECT DISTINCT ON (organization_id, person_id) organization_id, person_id, source, source_table, source_key,
              edited_at
          FROM feed_said WHERE source IS NOT NULL
          ORDER BY organization_id, person_id, created_at NULLS LAST, source_table, source_key) AS c
        LEFT JOIN crm.lead_source_alias AS a
            ON a.spelling = btrim(regexp_replace(lower(c.source), '[\s_-]+', ' ', 'g'));
ANALYZE feed_came_by;
CREATE TEMP TABLE feed_branch ON COMMIT DROP AS
    SELECT DISTINCT ON (organization_id, person_id) organization_id, person_id, division, source_table, source_key,
        edited_at
    FROM feed_said WHERE division IS NOT NULL
    ORDER BY organization_id, person_id, said_at DESC, source_table, source_key;
ANALYZE feed_branch;
CREATE TEMP TABLE feed_staff ON COMMIT DROP AS
    SELECT m.source_table, m.source_key, m.person_id
    FROM identity.person AS p JOIN identity.member AS m USING (person_id) WHERE p.kind = 'staff';
ANALYZE feed_staff;
CREATE TEMP TABLE feed_owner ON COMMIT DROP AS
    SELECT DISTINCT ON (s.organization_id, s.person_id) s.organization_id, s.person_id, m.person_id AS owner_id,
        s.source_table, s.source_key, s.edited_at
    FROM feed_said AS s
        JOIN feed_staff AS m ON m.source_table = s.owner_table AND m.source_key = s.owner_key
        LEFT JOIN feed_decided AS d ON d.organization_id = s.organization_id AND d.person_id = s.person_id
            AND d.source_table = s.source_table AND d.source_key = s.source_key
    ORDER BY s.organization_id, s.person_id, d.source_key IS NULL, s.said_at DESC, s.source_table, s.source_key;
ANALYZE feed_owner;
CREATE TEMP TABLE feed_valued ON COMMIT DROP AS
    SELECT organization_id, person_id, value_rank, bool_or(status = 'won') AS won,
        coalesce(sum(value_usd) FILTER (WHERE status = 'won'),
                 (array_agg(value_usd ORDER BY said_at DESC, source_table, source_key))[1]) AS value_usd,
        (array_agg(source_table ORDER BY status = 'won' DESC NULLS LAST, said_at DESC, source_table, source_key))[1]
            AS source_table,
        (array_agg(source_key ORDER BY status = 'won' DESC NULLS LAST, said_at DESC, source_table, source_key))[1]
            AS source_key,
        max(edited_at) AS edited_at
    -- A deal of two contacts of the person is one, and so is a sale of which two accounts of one CRM have a deal.
    FROM (SELECT DISTINCT ON (organization_id, person_id, value_rank, coalesce(sale, source_table),
                              CASE WHEN sale IS NULL THEN source_key END) *
          FROM feed_said
          -- What was not agreed to is worth nothing, and a value that no column holds is none.
          WHERE value_usd BETWEEN 0 AND 999999999.99 AND status IS DISTINCT FROM 'lost' AND NOT is_off
          ORDER BY organization_id, person_id, value_rank, coalesce(sale, source_table),
              CASE WHEN sale IS NULL THEN source_key END, status = 'won' DESC NULLS LAST, source_table, source_key,
              said_at DESC) AS said
    GROUP BY organization_id, person_id, value_rank;
ANALYZE feed_valued;
CREATE TEMP TABLE feed_value ON COMMIT DROP AS
    SELECT DISTINCT ON (organization_id, person_id) * FROM feed_valued
    ORDER BY organization_id, person_id, won IS NOT TRUE, value_rank;
ANALYZE feed_value;
CREATE TEMP TABLE feed_all ON COMMIT DROP AS
    SELECT organization_id, person_id, min(created_at) AS created_at, array_agg(DISTINCT crm) AS crms
    FROM feed_said GROUP BY organization_id, person_id;
ANALYZE feed_all;
CREATE TEMP TABLE feed_tagged ON COMMIT DROP AS
    SELECT s.organization_id, s.person_id, array_agg(DISTINCT lower(btrim(t.tag))) AS tags,
        max(s.source_table) AS source_table, max(s.source_key) AS source_key, max(s.edited_at) AS edited_at
    FROM feed_said AS s, unnest(s.tags) AS t (tag) WHERE btrim(t.tag) <> ''
    GROUP BY s.organization_id, s.person_id;
ANALYZE feed_tagged;
CREATE TEMP TABLE feed_records ON COMMIT DROP AS
    -- By which the lead is found again when the row goes to another customer, or the rep becomes known.
    SELECT s.organization_id, s.person_id, array_agg(DISTINCT r.record) AS records
    FROM feed_said AS s, unnest(ARRAY[s.record, s.owner_table || ' ' || s.owner_key]) AS r (record)
    WHERE r.record IS NOT NULL
    GROUP BY s.organization_id, s.person_id;
ANALYZE feed_records;
CREATE TEMP TABLE feed_wanted ON COMMIT DROP AS
SELECT organization_id, person_id,
    nullif(p.first_name, '') AS first_name,
    coalesce(nullif(p.last_name, ''), CASE WHEN p.first_name IS NULL THEN coalesce(p.business, p.display_name) END)
        AS last_name,
    p.email, CASE WHEN p.phone ~ '^\+[1-9][0-9]{6,14}$' THEN p.phone END AS phone, p.phones, p.emails,
    coalesce(d.status, 'new') AS status, least(coalesce(d.said_at, a.created_at, now()), now()) AS status_at,
    c.source, coalesce(t.tags, '{}') AS tags, b.division, p.zip AS postal_code, o.owner_id,
    v.value_usd::numeric(12, 2) AS value_usd, least(coalesce(a.created_at, p.first_seen_at, now()), now()) AS created_at,
    jsonb_strip_nulls(jsonb_build_object('crm_source', coalesce(d.crm, a.crms[1]), 'crm_sources', a.crms,
                                         'crm_status', d.word)) AS metadata,
    jsonb_strip_nulls(jsonb_build_object(
        'first_name', feed_origin.first_name, 'last_name', feed_origin.last_name, 'email', feed_origin.email,
        'phone', feed_origin.phone, 'postal_code', feed_origin.zip,
        'status', CASE WHEN d.status IS NOT NULL THEN jsonb_build_object('table', d.source_table, 'key', d.source_key,
                                                                         'at', d.said_at) END,
        'source', CASE WHEN c.source IS NOT NULL THEN jsonb_build_object('table', c.source_table, 'key', c.source_key,
                                                                         'at', c.edited_at) END,
        'division', CASE WHEN b.division IS NOT NULL THEN jsonb_build_object('table', b.source_table,
                                                                             'key', b.source_key, 'at', b.edited_at) END,
        'owner_id', CASE WHEN o.owner_id IS NOT NULL THEN jsonb_build_object('table', o.source_table,
                                                                             'key', o.source_key, 'at', o.edited_at) END,
        'value_usd', CASE WHEN v.value_usd IS NOT NULL THEN jsonb_build_object('table', v.source_table,
                                                                               'key', v.source_key, 'at', v.edited_at)
                                                                               END,
        'tags', CASE WHEN t.tags IS NOT NULL THEN jsonb_build_object('table', t.source_table, 'key', t.source_key,
                                                                     'at', t.edited_at) END)) AS origins,
    coalesce(r.records, '{}') AS records
FROM feed_all AS a
    JOIN identity.person AS p USING (person_id)
    LEFT JOIN feed_decided AS d USING (organization_id, person_id)
    LEFT JOIN feed_came_by AS c USING (organization_id, person_id)
    LEFT JOIN feed_branch AS b USING (organization_id, person_id)
    LEFT JOIN feed_owner AS o USING (organization_id, person_id)
    LEFT JOIN feed_value AS v USING (organization_id, person_id)
    LEFT JOIN feed_tagged AS t USING (organization_id, person_id)
    LEFT JOIN feed_records AS r USING (organization_id, person_id),
    LATERAL (
        SELECT jsonb_object_agg(f.key, jsonb_build_object(
                   'table', f.value -> 'source_table', 'key', f.value -> 'source_key',
                   'at', coalesce(f.value -> 'at', to_jsonb(p.updated_at)))) AS fields
        FROM jsonb_each(p.origins) AS f WHERE jsonb_typeof(f.value) = 'object') AS of_person,
    LATERAL (SELECT of_person.fields -> 'first_name' AS first_name, of_person.fields -> 'last_name' AS last_name,
                    of_person.fields -> 'email' AS email, of_person.fields -> 'phone' AS phone,
                    coalesce(of_person.fields -> 'zip', of_person.fields -> 'address') AS zip) AS feed_origin;
CREATE UNIQUE INDEX ON feed_wanted (organization_id, person_id);
ANALYZE feed_wanted

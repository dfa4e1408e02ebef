-- The rows of identity.person as the best values of person_value make them, those that differ from what stands there.
--
-- A name is shown as its record spells it; of a name all in capitals or all in small letters each word gets a capital. The
-- parts of the display name that are the first and the last name are found by comparing letters alone. A script without
-- capitals is shown as it is written.
--
-- `spelled` is materialized, or the guessed cost of its series hides that of the joins, and one is a loop over all pairs.
WITH best AS (
    SELECT person_id,
        max(record_id) FILTER (WHERE field = 'name' AND is_best) AS name_record,
        max(record_id) FILTER (WHERE field = 'business' AND is_best) AS business_record,
        max(record_id) FILTER (WHERE field = 'address' AND is_best) AS address_record,
        max(value) FILTER (WHERE field = 'email' AND is_best) AS email,
        max(value) FILTER (WHERE field = 'phone' AND is_best) AS phone,
        coalesce(array_agg(value ORDER BY position) FILTER (WHERE field = 'email'), '{}') AS emails,
        coalesce(array_agg(value ORDER BY position) FILTER (WHERE field = 'phone'), '{}') AS phones,
        jsonb_object_agg(field, jsonb_build_object('source_table', source_table, 'source_key', source_key,
            'at', nullif(at, '-infinity'), 'rule', rule)) FILTER (WHERE is_best) AS origins
    FROM person_value
    GROUP BY person_id
), named AS MATERIALIZED (
    SELECT b.person_id, n.first_name, n.middle_name, n.last_name, n.suffix, btrim(n.display_name) AS shown,
        n.display_name NOT IN (upper(n.display_name), lower(n.display_name))
            OR upper(n.display_name) = lower(n.display_name) AS neat,
        upper(n.display_name) = lower(n.display_name) AS is_caseless,
        regexp_split_to_array(btrim(n.display_name), '\s+') AS words
    FROM best AS b JOIN identity.record AS n ON n.record_id = b.name_record
), plain AS (
    SELECT n.*, (cardinality(n.words) > 1 AND lower(n.words[1]) = n.first_name
        AND lower(n.words[cardinality(n.words)]) = n.last_name) IS TRUE AS is_plain
    FROM named AS n
), split AS (
    SELECT n.*, CASE WHEN n.is_plain THEN n.words[1] ELSE found.first_name END AS first_shown,
        CASE WHEN n.is_plain THEN n.words[cardinality(n.words)] ELSE found.last_name END AS last_shown,
        n.is_plain OR found.in_order AS in_order
    FROM plain AS n
        CROSS JOIN LATERAL (
            SELECT (array_agg(part.words ORDER BY part.i, part.j) FILTER (WHERE part.letters = part.first_name))[1]
                    AS first_name,
                (array_agg(part.words ORDER BY part.j DESC, part.i) FILTER (WHERE part.letters = part.last_name))[1]
                    AS last_name,
                min(part.i) FILTER (WHERE part.letters = part.first_name)
                    < max(part.i) FILTER (WHERE part.letters = part.last_name) AS in_order
            FROM (
                SELECT i, j, btrim(array_to_string(n.words[i:j], ' '), ',') AS words,
                    identity.letters(array_to_string(n.words[i:j], '')) AS letters,
                    identity.letters(n.first_name) AS first_name, identity.letters(n.last_name) AS last_name
                FROM generate_series(1, CASE WHEN n.is_plain THEN 0 ELSE least(cardinality(n.words), 8) END) AS i,
                    generate_series(i, least(cardinality(n.words), i + 2)) AS j
            ) AS part
        ) AS found
), spelled AS MATERIALIZED (
    SELECT s.person_id, spelling.*,
        CASE WHEN s.neat AND (s.in_order OR s.is_caseless) AND position(',' IN s.shown) = 0 THEN s.shown
            ELSE concat_ws(' ', spelling.first_name, initcap(s.middle_name), spelling.last_name,
                CASE WHEN s.suffix IN ('jr', 'sr') THEN initcap(s.suffix) || '.' ELSE upper(s.suffix) END) END AS shown
    FROM split AS s
        CROSS JOIN LATERAL (
            SELECT CASE WHEN s.neat AND s.first_shown IS NOT NULL THEN s.first_shown
                    ELSE initcap(coalesce(s.first_shown, s.first_name)) END AS first_name,
                CASE WHEN s.neat AND s.last_shown IS NOT NULL THEN s.last_shown
                    ELSE initcap(coalesce(s.last_shown, s.last_name)) END AS last_name
        ) AS spelling
), made AS (
    SELECT s.person_id, place.property_id, s.kind, coalesce(n.shown, company.shown) AS display_name, n.first_name,
        n.last_name, company.shown AS business, b.email, b.phone, coalesce(b.emails, '{}') AS emails,
        coalesce(b.phones, '{}') AS phones, a.street, a.unit, a.city, a.state, a.zip,
        coalesce(b.origins, '{}') AS origins, s.record_count, s.source_tables, s.first_seen_at, s.last_seen_at
    FROM person_summary AS s
        LEFT JOIN best AS b ON b.person_id = s.person_id
        LEFT JOIN spelled AS n ON n.person_id = s.person_id
        LEFT JOIN identity.record AS a ON a.record_id = b.address_record
        LEFT JOIN identity.property AS place
            ON place.zip = a.zip AND place.street = a.street AND place.unit = coalesce(a.unit, '')
        LEFT JOIN LATERAL (
            SELECT CASE WHEN coalesce(r.first_name, r.last_name) IS NOT NULL THEN initcap(r.business)
                WHEN r.display_name IN (upper(r.display_name), lower(r.display_name)) THEN initcap(r.display_name)
                ELSE coalesce(r.display_name, initcap(r.business)) END AS shown
            FROM identity.record AS r WHERE r.record_id = b.business_record
        ) AS company ON true
)
SELECT m.*
FROM made AS m
    JOIN identity.person AS p ON p.person_id = m.person_id
WHERE (p.property_id, p.kind, p.display_name, p.first_name, p.last_name, p.business, p.email, p.phone, p.emails,
        p.phones, p.street, p.unit, p.city, p.state, p.zip, p.origins, p.record_count, p.source_tables,
        p.first_seen_at, p.last_seen_at)
    IS DISTINCT FROM (m.property_id, m.kind, m.display_name, m.first_name, m.last_name, m.business, m.email, m.phone,
        m.emails, m.phones, m.street, m.unit, m.city, m.state, m.zip, m.origins, m.record_count, m.source_tables,
        m.first_seen_at, m.last_seen_at)

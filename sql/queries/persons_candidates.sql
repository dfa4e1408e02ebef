-- Each value that a record offers for a field of its person, for the persons of person_summary.
--
-- Values of a deleted record stand in identity.person only while all records of the person are deleted (`eligible`).
-- `good` is how fit a value is, the larger the better: 3 a whole name or address, 0 a piece; an e-mail address or phone
-- that makes no candidates (a placeholder, the company's own) has 0. `neat` is a name in mixed case, or an address with
-- its city and state. `length` is what the rule `longest` compares.
SELECT r.person_id, v.field, v.value, r.record_id, r.source_table, r.source_key, r.eligible, v.good, v.neat, v.ordinal,
    length(v.value), coalesce(of_field.rank, of_table.rank, 100), r.at
FROM (
    SELECT s.person_id, r.*, NOT r.deleted OR NOT s.has_live AS eligible,
        coalesce(r.updated_at, r.created_at, '-infinity') AS at
    FROM person_summary AS s
        JOIN identity.member AS m ON m.person_id = s.person_id
        JOIN identity.record AS r ON r.record_id = m.record_id
) AS r
    CROSS JOIN LATERAL (
        SELECT 'name' AS field, concat(r.first_name, '|', r.last_name) AS value, 1::bigint AS ordinal,
            CASE WHEN r.first_name IS NULL OR r.last_name IS NULL THEN 0 WHEN length(r.first_name) = 1 THEN 1 ELSE 3 END
                AS good,
            coalesce(r.display_name NOT IN (upper(r.display_name), lower(r.display_name)), false) AS neat
        WHERE coalesce(r.first_name, r.last_name) IS NOT NULL
        UNION ALL
        SELECT 'business', r.business, 1, 0,
            coalesce(r.display_name NOT IN (upper(r.display_name), lower(r.display_name)), false)
        WHERE r.business IS NOT NULL
        UNION ALL
        SELECT 'address', concat_ws('|', coalesce(r.street, ''), coalesce(r.unit, ''), coalesce(r.zip, ''),
                CASE WHEN r.street IS NULL OR r.zip IS NULL THEN r.city END), 1,
            CASE WHEN r.street IS NULL THEN 0 WHEN r.zip IS NULL THEN 2 ELSE 3 END,
            r.city IS NOT NULL AND r.state IS NOT NULL
        WHERE coalesce(r.street, r.zip, r.city) IS NOT NULL
        UNION ALL
        SELECT 'email', e.value, e.ordinal, ('e:' || e.value = ANY (r.block_keys))::integer, false
        FROM unnest(r.emails) WITH ORDINALITY AS e (value, ordinal)
        UNION ALL
        SELECT 'phone', p.value, p.ordinal, ('p:' || p.value = ANY (r.block_keys))::integer * 2, false
        FROM unnest(r.phones) WITH ORDINALITY AS p (value, ordinal)
    ) AS v
    LEFT JOIN identity.source_trust AS of_field ON of_field.source_table = r.source_table AND of_field.field = v.field
    LEFT JOIN identity.source_trust AS of_table ON of_table.source_table = r.source_table AND of_table.field = '*'

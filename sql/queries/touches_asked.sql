-- The touches that may belong to somebody else than before: those of `records`; those with a phone or an e-mail address of
-- a person of `records` or of one that this transaction wrote, or with one of `keys`; those whose owner was deleted.
--
-- Of the persons in touch_before who have what they had, only times changed. Times decide between households, so their
-- phones count where another household has one, or where a touch has several phones.
WITH same AS MATERIALIZED (
    SELECT p.person_id, p.phones, p.emails, coalesce(p.household_id, p.person_id) AS unit
    FROM touch_before AS b JOIN identity.person AS p ON p.person_id = b.person_id
    WHERE (p.kind, p.household_id) IS NOT DISTINCT FROM (b.kind, b.household_id)
        AND p.phones @> b.phones AND p.phones <@ b.phones AND p.emails @> b.emails AND p.emails <@ b.emails
), reached AS (
    SELECT p.person_id FROM identity.person AS p WHERE p.updated_at = now()
    UNION
    SELECT m.person_id FROM identity.member AS m WHERE m.record_id = ANY (%(records)s::bigint[])
    EXCEPT
    SELECT s.person_id FROM same AS s
), person AS MATERIALIZED (
    SELECT p.person_id, p.phones, p.emails FROM reached AS r JOIN identity.person AS p ON p.person_id = r.person_id
), phone AS MATERIALIZED (
    SELECT unnest(phones) AS phone FROM person
    UNION
    SELECT substr(key, 3) FROM unnest(%(keys)s::text[]) AS key WHERE left(key, 2) = 'p:'
    UNION
    SELECT f.phone
    FROM same AS s
        CROSS JOIN LATERAL unnest(s.phones) AS f (phone)
        JOIN identity.person AS o ON o.phones @> ARRAY[f.phone]
    WHERE coalesce(o.household_id, o.person_id) <> s.unit
), email AS MATERIALIZED (
    SELECT unnest(emails) AS email FROM person
    UNION
    SELECT unnest(emails) FROM same
    UNION
    SELECT substr(key, 3) FROM unnest(%(keys)s::text[]) AS key WHERE left(key, 2) = 'e:'
)
SELECT r.record_id FROM identity.record AS r WHERE r.record_id = ANY (%(records)s::bigint[]) AND r.kind = 'touch'
UNION
SELECT r.record_id FROM phone AS f JOIN identity.record AS r ON r.phones @> ARRAY[f.phone] WHERE r.kind = 'touch'
UNION
SELECT r.record_id
FROM same AS s
    CROSS JOIN LATERAL unnest(s.phones) AS f (phone)
    JOIN identity.record AS r ON r.phones @> ARRAY[f.phone]
WHERE r.kind = 'touch' AND cardinality(r.phones) > 1
UNION
SELECT r.record_id FROM email AS f JOIN identity.record AS r ON r.emails @> ARRAY[f.email]
WHERE r.kind = 'touch' AND r.emails <> '{}'
UNION
SELECT t.record_id FROM identity.touch AS t WHERE t.person_id IN (SELECT person_id FROM person)
UNION
SELECT t.record_id FROM identity.touch AS t
WHERE t.person_id IS NULL
    AND (t.certainty IN ('certain', 'likely') OR (t.certainty = 'household' AND t.household_id IS NULL))

-- The touches that may belong to somebody else than before: those of `records`; those with a phone or an e-mail address of
-- a person of `records` or of one that this transaction wrote, or with one of `keys`; those whose owner was deleted.
WITH person AS MATERIALIZED (
    SELECT p.person_id, p.phones, p.emails FROM identity.person AS p WHERE p.updated_at = now()
    UNION ALL
    SELECT p.person_id, p.phones, p.emails
    FROM identity.person AS p
    WHERE p.person_id IN (SELECT m.person_id FROM identity.member AS m WHERE m.record_id = ANY (%(records)s::bigint[]))
), phone AS MATERIALIZED (
    SELECT DISTINCT phone
    FROM (
        SELECT unnest(phones) AS phone FROM person
        UNION ALL
        SELECT substr(key, 3) FROM unnest(%(keys)s::text[]) AS key WHERE left(key, 2) = 'p:'
    ) AS known
), email AS MATERIALIZED (
    SELECT unnest(emails) AS email FROM person
    UNION
    SELECT substr(key, 3) FROM unnest(%(keys)s::text[]) AS key WHERE left(key, 2) = 'e:'
)
SELECT r.record_id FROM identity.record AS r WHERE r.record_id = ANY (%(records)s::bigint[]) AND r.kind = 'touch'
UNION
SELECT r.record_id FROM phone AS f JOIN identity.record AS r ON r.phones @> ARRAY[f.phone] WHERE r.kind = 'touch'
UNION
SELECT r.record_id FROM email AS f JOIN identity.record AS r ON r.emails @> ARRAY[f.email]
WHERE r.kind = 'touch' AND r.emails <> '{}'
UNION
SELECT t.record_id FROM identity.touch AS t WHERE t.person_id IN (SELECT person_id FROM person)
UNION
SELECT t.record_id FROM identity.touch AS t
WHERE t.person_id IS NULL
    AND (t.certainty IN ('certain', 'likely') OR (t.certainty = 'household' AND t.household_id IS NULL))

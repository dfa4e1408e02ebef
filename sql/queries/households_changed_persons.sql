-- The persons whose household may be another one: those of `records`, those that this transaction wrote, and those of
-- households that somebody left.
SELECT m.person_id FROM identity.member AS m WHERE m.record_id = ANY (%(records)s::bigint[])
UNION
SELECT p.person_id FROM identity.person AS p WHERE p.updated_at = now()
UNION
SELECT p.person_id FROM identity.left_household AS h JOIN identity.person AS p ON p.household_id = h.household_id

-- Write where the persons of household_move live now.
UPDATE identity.person AS p
SET household_id = m.household_id, updated_at = now()
FROM household_move AS m
WHERE p.person_id = m.person_id

-- Write the households of household_made that differ.
UPDATE identity.household AS h
SET property_id = m.property_id, last_name = m.last_name, phones = m.phones, person_count = m.person_count,
    updated_at = now()
FROM household_made AS m
WHERE h.household_id = m.household_id
    AND (h.property_id, h.last_name, h.phones, h.person_count)
        IS DISTINCT FROM (m.property_id, m.last_name, m.phones, m.person_count)

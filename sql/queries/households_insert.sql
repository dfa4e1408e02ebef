-- Make the households of household_made that are new.
INSERT INTO identity.household (household_id, property_id, last_name, phones, person_count)
SELECT household_id, property_id, last_name, phones, person_count FROM household_made WHERE is_new

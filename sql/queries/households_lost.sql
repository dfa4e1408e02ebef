-- Note the households that persons of household_move leave.
INSERT INTO identity.left_household (household_id)
SELECT DISTINCT household_before FROM household_move WHERE household_before IS NOT NULL
ON CONFLICT DO NOTHING

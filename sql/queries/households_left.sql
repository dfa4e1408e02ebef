-- Delete the households that somebody left and in which nobody is any more.
DELETE FROM identity.household AS h
USING identity.left_household AS l
WHERE l.household_id = h.household_id
    AND NOT EXISTS (SELECT FROM identity.person AS p WHERE p.household_id = h.household_id)

-- Let who stays in a household that somebody left count as changed: what two bought together is the lead's of one of them.
UPDATE identity.person AS p SET updated_at = now()
FROM identity.left_household AS l
WHERE p.household_id = l.household_id AND p.updated_at < now()

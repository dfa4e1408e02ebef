-- Note the properties that persons of person_best leave: `households` deletes those at which nobody lives then.
INSERT INTO identity.left_property (property_id)
SELECT DISTINCT p.property_id
FROM person_best AS b JOIN identity.person AS p ON p.person_id = b.person_id
WHERE p.property_id IS NOT NULL AND p.property_id IS DISTINCT FROM b.property_id
ON CONFLICT DO NOTHING

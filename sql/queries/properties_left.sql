-- Delete the properties that somebody left and at which nobody lives any more: an address is about a person, too.
DELETE FROM identity.property AS q
USING identity.left_property AS l
WHERE l.property_id = q.property_id
    AND NOT EXISTS (SELECT FROM identity.person AS p WHERE p.property_id = q.property_id)
    AND NOT EXISTS (SELECT FROM identity.household AS h WHERE h.property_id = q.property_id)

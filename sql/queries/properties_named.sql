-- The properties whose city or state may be another one: those that an address of person_candidate names, and those that
-- somebody left.
SELECT q.property_id
FROM (SELECT DISTINCT record_id FROM person_candidate WHERE field = 'address') AS c
    JOIN identity.record AS r ON r.record_id = c.record_id
    JOIN identity.property AS q ON q.zip = r.zip AND q.street = r.street AND q.unit = coalesce(r.unit, '')
UNION
SELECT q.property_id FROM identity.left_property AS l JOIN identity.property AS q ON q.property_id = l.property_id

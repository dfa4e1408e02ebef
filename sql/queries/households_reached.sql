-- The persons who are in a household with one of household_scope's last `generation`, at a property, or joined by an edge.
WITH last AS (
    SELECT p.person_id, p.household_id, p.property_id
    FROM household_scope AS s JOIN identity.person AS p ON p.person_id = s.person_id
    WHERE s.generation = %(generation)s
), reached AS (
    SELECT p.person_id FROM last AS l JOIN identity.person AS p ON p.household_id = l.household_id
    UNION
    SELECT p.person_id FROM last AS l JOIN identity.person AS p ON p.property_id = l.property_id
    UNION
    SELECT b.person_id
    FROM last AS l
        JOIN identity.member AS a ON a.person_id = l.person_id
        JOIN identity.edge AS e ON e.a_id = a.record_id AND e.relation = 'household'
        JOIN identity.member AS b ON b.record_id = e.b_id
    UNION
    SELECT a.person_id
    FROM last AS l
        JOIN identity.member AS b ON b.person_id = l.person_id
        JOIN identity.edge AS e ON e.b_id = b.record_id AND e.relation = 'household'
        JOIN identity.member AS a ON a.record_id = e.a_id
)
SELECT r.person_id, %(generation)s + 1
FROM reached AS r
WHERE NOT EXISTS (SELECT FROM household_scope AS s WHERE s.person_id = r.person_id)

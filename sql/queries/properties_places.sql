-- The city and state of each property of person_property: those that most of its persons have.
UPDATE identity.property AS q
SET city = most.city, state = most.state
FROM (
    SELECT p.property_id, mode() WITHIN GROUP (ORDER BY p.city) AS city, mode() WITHIN GROUP (ORDER BY p.state) AS state
    FROM person_property AS named
        JOIN identity.person AS p ON p.property_id = named.property_id
    GROUP BY p.property_id
) AS most
WHERE most.property_id = q.property_id AND (q.city, q.state) IS DISTINCT FROM (most.city, most.state)

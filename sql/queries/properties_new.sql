-- Make the properties at which a person of person_value lives and that are not there yet. Nobody else lives there.
WITH lived AS (
    SELECT r.zip, r.street, coalesce(r.unit, '') AS unit, mode() WITHIN GROUP (ORDER BY r.city) AS city,
        mode() WITHIN GROUP (ORDER BY r.state) AS state
    FROM person_value AS v
        JOIN identity.record AS r ON r.record_id = v.record_id
    WHERE v.field = 'address' AND v.is_best AND r.street IS NOT NULL AND r.zip IS NOT NULL
    GROUP BY r.zip, r.street, coalesce(r.unit, '')
)
INSERT INTO identity.property (zip, street, unit, city, state)
SELECT l.zip, l.street, l.unit, l.city, l.state
FROM lived AS l
    LEFT JOIN identity.property AS p ON p.zip = l.zip AND p.street = l.street AND p.unit = l.unit
WHERE p.property_id IS NULL
ON CONFLICT DO NOTHING

-- Those with whom somebody in mart_person, or somebody who was deleted since a time, has a sale together or has had one,
-- and all who live with any of these: a sale may be one with another one's of the household.
WITH together AS (
    SELECT DISTINCT q.person_id
    FROM marts.sale AS s, unnest(s.person_ids) AS q (person_id)
    WHERE cardinality(s.person_ids) > 1 AND s.person_ids && ARRAY(
        SELECT m.person_id FROM mart_person AS m
        UNION
        SELECT d.person_id FROM identity.deletion AS d
        WHERE d.table_name = 'identity.person' AND d.deleted_at > %(since)s AND d.person_id IS NOT NULL)
), found AS (
    SELECT t.person_id FROM together AS t UNION SELECT m.person_id FROM mart_person AS m
)
SELECT t.person_id FROM together AS t
UNION
SELECT o.person_id
FROM found AS f
    JOIN identity.person AS p ON p.person_id = f.person_id
    JOIN identity.person AS o ON o.household_id = p.household_id

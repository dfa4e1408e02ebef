-- Whose sales are somebody's in mart_person too: they are credited to the touches of all.
SELECT s.person_id
FROM marts.sale AS s
WHERE cardinality(s.person_ids) > 1 AND s.person_ids && ARRAY(SELECT m.person_id FROM mart_person AS m)

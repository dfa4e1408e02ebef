-- Who belongs together, and how sure is that?
SELECT r.relation, count(*) AS pairs, round(avg(r.certainty), 2) AS certainty, min(r.reason) AS for_example
FROM marts.relationships AS r
GROUP BY r.relation ORDER BY pairs DESC, r.relation

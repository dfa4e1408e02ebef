-- Who stands twice in one CRM, and what did that cost?
SELECT d.source_table, count(*) AS people, sum(d.surplus) AS surplus_records, sum(d.surplus_cost) AS surplus_cost
FROM marts.duplicates AS d
GROUP BY d.source_table ORDER BY surplus_cost DESC, d.source_table

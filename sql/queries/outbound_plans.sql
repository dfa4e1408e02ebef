-- Plans, each with how many of its items have which action and status.
SELECT p.*, (
    SELECT jsonb_agg(jsonb_build_array(c.action, c.status, c.items))
    FROM (
        SELECT i.action, i.status, count(*) AS items
        FROM reverse_etl.plan_item AS i WHERE i.plan_id = p.plan_id GROUP BY 1, 2) AS c
) AS counted
FROM reverse_etl.plan AS p

-- Of each entity that webhooks tell of: which share of the changes of today and yesterday, in UTC, only polls have found.
SELECT g.crm_source, g.entity, (sum(g.only_polled) / sum(g.changes))::float8
FROM orchestration.webhook_gap AS g
    JOIN orchestration.source_table AS t ON t.crm_source = g.crm_source AND t.sync_type = g.entity
WHERE g.day >= (now() AT TIME ZONE 'UTC')::date - 1
GROUP BY 1, 2 HAVING sum(g.changes) > 0
ORDER BY 1, 2

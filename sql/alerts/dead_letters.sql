-- Entities of which more than `threshold` records went to the dead letters within a day, and wait there.
SELECT d.crm_source || ' ' || d.sync_type AS subject, d.crm_source AS crm, d.sync_type AS entity,
    format('%%s records could not be loaded within a day, mostly by the rule %%s; %%s wait', d.new, d.rule, d.waiting)
        AS text,
    NULL AS cause
FROM (
    SELECT l.crm_source, l.sync_type, count(*) AS waiting,
        count(*) FILTER (WHERE l.created_at > %(now)s - interval '1 day') AS new,
        mode() WITHIN GROUP (ORDER BY l.rule) FILTER (WHERE l.created_at > %(now)s - interval '1 day') AS rule
    FROM orchestration.dead_letter AS l WHERE l.status = 'pending' GROUP BY l.crm_source, l.sync_type
) AS d
WHERE d.new > %(threshold)s

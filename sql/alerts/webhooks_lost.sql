-- Entities of which polls alone found more than `threshold` of yesterday's changes (in UTC), of at least 20, though their
-- webhooks delivered.
SELECT g.crm_source || ' ' || g.entity AS subject, g.crm_source AS crm, g.entity,
    format('%%s of the %%s changes of %%s were found by polls alone', g.only_polled, g.changes, g.day) AS text,
    g.crm_source || ' webhooks' AS cause
FROM orchestration.webhook_gap AS g
WHERE g.crm_source = ANY(%(crms)s::text[]) AND g.day = (%(now)s AT TIME ZONE 'UTC')::date - 1
    AND g.by_webhook > 0 AND g.changes >= 20 AND g.lost_share > %(threshold)s

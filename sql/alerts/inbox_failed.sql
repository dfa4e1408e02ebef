-- Sources of which more than `threshold` deliveries were given up within a day.
SELECT i.source AS subject, i.source AS crm, NULL AS entity,
    format('%%s deliveries were given up within a day: %%s', count(*),
           (array_agg(i.error_message ORDER BY i.id DESC))[1]) AS text,
    NULL AS cause
FROM orchestration.webhook_inbox AS i
WHERE i.status = 'failed' AND i.processed_at > %(now)s - interval '1 day'
GROUP BY i.source HAVING count(*) > %(threshold)s

-- Sources whose oldest delivery has waited for more than `threshold` minutes to be worked off. One that came
-- again has the time of the last one, and has been due since before.
SELECT i.source AS subject, i.source AS crm, NULL AS entity,
    format('%%s deliveries wait, the oldest since %%s UTC%%s', count(*),
           to_char(min(least(i.received_at, i.not_before)) AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI'),
           coalesce(': ' || (array_agg(i.error_message ORDER BY i.id) FILTER (WHERE i.error_message IS NOT NULL))[1],
                    '')) AS text,
    NULL AS cause
FROM orchestration.webhook_inbox AS i WHERE i.status = 'pending'
GROUP BY i.source HAVING min(least(i.received_at, i.not_before)) < %(now)s - %(threshold)s * interval '1 minute'

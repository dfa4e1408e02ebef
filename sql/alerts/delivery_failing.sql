-- Channels that have refused a message for more than `threshold` minutes, and taken none since.
SELECT d.channel AS subject, NULL AS crm, NULL AS entity,
    format('%%s messages wait since %%s UTC: %%s', count(*),
           to_char(min(d.created_at) AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI'),
           (array_agg(d.error ORDER BY d.id))[1]) AS text,
    NULL AS cause
FROM orchestration.alert_delivery AS d
WHERE d.status = 'pending' AND d.attempts > 0
GROUP BY d.channel HAVING min(d.created_at) < %(now)s - %(threshold)s * interval '1 minute'

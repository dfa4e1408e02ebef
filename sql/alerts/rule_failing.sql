-- Rules that could not be asked for more than `threshold` minutes.
SELECT e.rule AS subject, NULL AS crm, NULL AS entity,
    format('it could not be asked since %%s UTC: %%s',
           to_char(e.failing_since AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI'), e.error) AS text,
    NULL AS cause
FROM orchestration.alert_evaluation AS e JOIN orchestration.alert_rule AS r ON r.name = e.rule
WHERE r.enabled AND e.failing_since < %(now)s - %(threshold)s * interval '1 minute'

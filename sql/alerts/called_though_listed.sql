-- Calls and messages of ours to people on the do-not-call list that were found within `threshold` hours.
SELECT 'do-not-call' AS subject, NULL AS crm, NULL AS entity,
    format('%%s calls and %%s messages went to people who were on the list, the last at %%s UTC',
           count(*) FILTER (WHERE c.channel = 'call'), count(*) FILTER (WHERE c.channel <> 'call'),
           to_char(max(c.contacted_at) AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI')) AS text,
    NULL AS cause
FROM marts.dnc_conflicts AS c WHERE c.found_at > %(now)s - %(threshold)s * interval '1 hour' HAVING count(*) > 0

-- Calls and messages of ours to people on the do-not-call list, by the day of the business on which they were found: each
-- day is a subject of its own, so that what is found on another day is told too. Days whose last was found within
-- `threshold` hours, with all that was found on them.
SELECT 'do-not-call ' || d.day AS subject, NULL AS crm, NULL AS entity,
    format('%%s calls and %%s messages went to people who were on the list, the last at %%s UTC; found on %%s',
           d.calls, d.messages, to_char(d.contacted_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI'), d.day) AS text,
    NULL AS cause
FROM (
    SELECT (c.found_at AT TIME ZONE %(zone)s)::date::text AS day, max(c.found_at) AS found_at,
        max(c.contacted_at) AS contacted_at, count(*) FILTER (WHERE c.channel = 'call') AS calls,
        count(*) FILTER (WHERE c.channel <> 'call') AS messages
    FROM marts.dnc_conflicts AS c
    WHERE c.found_at > %(now)s - %(threshold)s * interval '1 hour' - interval '25 hours'
    GROUP BY 1
) AS d
WHERE d.found_at > %(now)s - %(threshold)s * interval '1 hour'

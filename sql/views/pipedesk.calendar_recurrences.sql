-- The rules of the series in calendar_events, a row for each line of RFC 5545: RRULE, EXRULE, RDATE or EXDATE.
SELECT
    e.calendar_id,
    e.google_event_id,
    rule.number,
    upper(substring(rule.line FROM '^[A-Za-z]+')) AS kind,
    rule.line,
    e.start_time,
    e.end_time,
    e.time_zone,
    e.status
FROM pipedesk.calendar_events AS e
    CROSS JOIN LATERAL (
        SELECT n AS number, line #>> '{}' AS line
        FROM jsonb_path_query(e.recurrence, '$[*]') WITH ORDINALITY AS lines (line, n)
    ) AS rule

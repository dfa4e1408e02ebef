-- The hours of the day, of the months, in which one of the tables changed since a time: a row for each span of time in which
-- the clocks of a time zone show that hour, so also a double one when they are set back. Clocks differ from UTC by quarters of
-- an hour, and are set by less than two.
WITH touched AS (
    SELECT DISTINCT t.month, t.hour
    FROM marts.touched_hour AS t
    WHERE t.table_name = ANY (%(tables)s) AND t.touched_at > %(since)s
), quarters AS (
    SELECT DISTINCT q.begins_at, q.begins_at AT TIME ZONE %(zone)s AS here
    FROM (SELECT DISTINCT t.month FROM touched AS t) AS m,
        generate_series(
            m.month::timestamp AT TIME ZONE %(zone)s - interval '2 hours',
            (m.month + interval '1 month')::timestamp AT TIME ZONE %(zone)s + interval '2 hours',
            interval '15 minutes'
        ) AS q (begins_at)
)
INSERT INTO mart_hour
    SELECT s.month, s.hour, min(s.begins_at), max(s.begins_at) + interval '15 minutes'
    FROM (
        SELECT t.month, t.hour, q.begins_at,
            q.begins_at - interval '15 minutes' * row_number() OVER (PARTITION BY t.month, t.hour ORDER BY q.begins_at) AS span
        FROM quarters AS q
            JOIN touched AS t ON t.month = date_trunc('month', q.here)::date AND t.hour = extract(hour FROM q.here)
    ) AS s
    GROUP BY s.month, s.hour, s.span

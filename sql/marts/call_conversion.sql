-- The calls of a person that led to something: each appointment counts for the last call in the 90 days before it was made,
-- and each sale for that of its appointment, or for the last call in the 90 days before the sale without one. A sale's
-- appointment is the last one that was made since the sale before it. Appointments of several CRMs are one when they were made
-- at most a day and a half apart, as in rep_performance. Where a day alone is known all of that day's calls are before it.
WITH told AS (
    SELECT t.person_id, t.occurred_at, t.occurred_day,
        coalesce(t.occurred_at - lag(t.occurred_at) OVER w > interval '36 hours', true) AS is_new
    FROM marts.activity_timeline AS t JOIN mart_person USING (person_id)
    WHERE t.kind = 'appointment_set'
    WINDOW w AS (PARTITION BY t.person_id ORDER BY t.occurred_at)
), made AS (
    SELECT t.person_id, t.occurred_at AS at, CASE WHEN t.occurred_at = t.occurred_day::timestamp AT TIME ZONE {zone}
            THEN (t.occurred_day + 1)::timestamp AT TIME ZONE {zone} ELSE t.occurred_at + interval '1 microsecond' END AS until
    FROM told AS t WHERE t.is_new
), sold AS (
    SELECT s.person_id, s.source_table, s.source_key, s.sold_at AS at, s.until, coalesce(s.amount, 0) AS amount,
        -- Sales of one time have one appointment.
        max(s.until) OVER (PARTITION BY s.person_id ORDER BY s.sold_at
                           RANGE BETWEEN UNBOUNDED PRECEDING AND interval '1 microsecond' PRECEDING) AS since
    FROM (
        SELECT s.*, CASE WHEN s.sold_at = s.sold_day::timestamp AT TIME ZONE {zone}
                THEN (s.sold_day + 1)::timestamp AT TIME ZONE {zone} ELSE s.sold_at + interval '1 microsecond' END AS until
        FROM marts.sale AS s JOIN mart_person USING (person_id)
        WHERE s.is_standing
    ) AS s
), led AS (
    SELECT DISTINCT ON (s.person_id, s.source_table, s.source_key) s.person_id, s.amount, coalesce(m.at, s.at) AS at,
        coalesce(m.until, s.until) AS until
    FROM sold AS s
        LEFT JOIN made AS m ON m.person_id = s.person_id AND m.at < s.until AND m.at >= coalesce(s.since, '-infinity')
    ORDER BY s.person_id, s.source_table, s.source_key, m.at DESC NULLS LAST
), reached AS (
    -- What is of one time has one call.
    SELECT r.person_id, r.at, r.until, sum(r.appointments) AS appointments, sum(r.jobs) AS jobs, sum(r.amount) AS revenue
    FROM (
        SELECT m.person_id, m.at, m.until, 1 AS appointments, 0 AS jobs, 0::numeric AS amount FROM made AS m
        UNION ALL
        SELECT l.person_id, l.at, l.until, 0, 1, l.amount FROM led AS l
    ) AS r JOIN marts.lead_journey AS j ON j.person_id = r.person_id
    GROUP BY r.person_id, r.at, r.until
), calls AS (
    -- each account
    SELECT r.person_id, {account} || c.id AS id, c.start_time, coalesce({account} || c.tracker_id, '') AS tracker_id,
        r.at, r.until, r.appointments, r.jobs, r.revenue
    FROM reached AS r
        JOIN marts.activity_timeline AS t ON t.person_id = r.person_id AND t.source_table = 'callrail_call'
            AND t.certainty >= 0.8 AND t.occurred_at < r.until AND t.occurred_at > r.at - interval '90 days'
        JOIN callrail_call AS c ON c.id = t.source_key
    WHERE NOT c.archived AND c.direction IS DISTINCT FROM 'outbound' AND c.start_time < r.until
        AND c.start_time > r.at - interval '90 days'
    -- all accounts
), last_call AS (
    SELECT DISTINCT ON (c.person_id, c.at, c.until) c.*
    FROM calls AS c
    ORDER BY c.person_id, c.at, c.until, c.start_time DESC, c.id
)
SELECT c.person_id, c.id AS call_id, c.start_time AS called_at,
    date_trunc('month', c.start_time AT TIME ZONE {zone})::date AS month,
    extract(hour FROM c.start_time AT TIME ZONE {zone})::smallint AS hour, c.tracker_id,
    sum(c.appointments)::integer AS appointments, sum(c.jobs)::integer AS jobs, sum(c.revenue) AS revenue
FROM last_call AS c
GROUP BY c.person_id, c.id, c.start_time, c.tracker_id

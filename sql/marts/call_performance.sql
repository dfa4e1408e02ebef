-- CallRail's calls by month, tracker and hour of the day, and what became of the callers. A person's appointment and sale
-- count once, for the last call before it; so sums over hours and trackers count nobody twice.
WITH calls AS (
    -- each account
    SELECT {account} || c.id AS id, c.start_time, c.start_time AT TIME ZONE {zone} AS here,
        coalesce({account} || c.tracker_id, '') AS tracker_id,
        c.direction IS NOT DISTINCT FROM 'outbound' AS outbound, c.answered IS TRUE AS answered,
        c.voicemail IS TRUE AS voicemail, c.first_call IS TRUE AS first_call, coalesce(t.name, c.source_name) AS tracker,
        coalesce(m.person_id, CASE WHEN u.certainty IN ('certain', 'likely') THEN u.person_id END) AS person_id
    FROM callrail_call AS c
        LEFT JOIN callrail_tracker AS t ON t.id = c.tracker_id
        LEFT JOIN identity.member AS m ON m.source_table = 'callrail_call' AND m.source_key = c.id
        LEFT JOIN identity.touch AS u ON u.source_table = 'callrail_call' AND u.source_key = c.id
    WHERE NOT c.archived AND c.start_time IS NOT NULL
    -- all accounts
), led_to AS (
    SELECT DISTINCT ON (j.person_id) c.id, (j.appointment_at IS NOT NULL)::integer AS appointments,
        j.jobs, j.sold_amount AS revenue
    FROM marts.lead_journey AS j
        JOIN calls AS c ON c.person_id = j.person_id AND NOT c.outbound
            AND c.start_time <= coalesce(j.appointment_at, j.sold_at)
            AND c.start_time > coalesce(j.appointment_at, j.sold_at) - interval '90 days'
    ORDER BY j.person_id, c.start_time DESC, c.id
), became AS (
    SELECT l.id, sum(l.appointments) AS appointments, sum(l.jobs) AS jobs, sum(l.revenue) AS revenue
    FROM led_to AS l GROUP BY l.id
)
SELECT date_trunc('month', c.here)::date AS month, c.tracker_id, extract(hour FROM c.here)::smallint AS hour,
    max(c.tracker) AS tracker,
    (count(*) FILTER (WHERE NOT c.outbound))::integer AS calls,
    (count(*) FILTER (WHERE NOT c.outbound AND c.answered))::integer AS answered,
    (count(*) FILTER (WHERE NOT c.outbound AND NOT c.answered AND c.voicemail))::integer AS voicemails,
    (count(*) FILTER (WHERE NOT c.outbound AND NOT c.answered))::integer AS missed,
    round((count(*) FILTER (WHERE NOT c.outbound AND c.answered))::numeric
          / nullif(count(*) FILTER (WHERE NOT c.outbound), 0), 4)::numeric(5, 4) AS answer_rate,
    (count(*) FILTER (WHERE NOT c.outbound AND c.first_call))::integer AS first_calls,
    (count(*) FILTER (WHERE c.outbound))::integer AS outbound,
    coalesce(sum(b.appointments), 0)::integer AS appointments, coalesce(sum(b.jobs), 0)::integer AS jobs,
    coalesce(sum(b.revenue), 0)::numeric(14, 2) AS revenue
FROM calls AS c LEFT JOIN became AS b ON b.id = c.id
GROUP BY 1, 2, 3

-- CallRail's calls by month, tracker and hour of the day, and what became of the callers. Each appointment and each sale
-- counts once, for the call that led to it (call_conversion); so sums over hours and trackers count nothing twice.
WITH calls AS (
    -- each account
    SELECT c.start_time AT TIME ZONE {zone} AS here, coalesce({account} || c.tracker_id, '') AS tracker_id,
        c.direction IS NOT DISTINCT FROM 'outbound' AS outbound, c.answered IS TRUE AS answered,
        c.voicemail IS TRUE AS voicemail, c.first_call IS TRUE AS first_call, coalesce(t.name, c.source_name) AS tracker
    FROM callrail_call AS c
        JOIN mart_hour AS w ON c.start_time >= w.begins_at AND c.start_time < w.ends_at
        LEFT JOIN callrail_tracker AS t ON t.id = c.tracker_id
    WHERE NOT c.archived
    -- all accounts
), counted AS (
    SELECT date_trunc('month', c.here)::date AS month, c.tracker_id, extract(hour FROM c.here)::smallint AS hour,
        max(c.tracker) AS tracker,
        count(*) FILTER (WHERE NOT c.outbound) AS calls,
        count(*) FILTER (WHERE NOT c.outbound AND c.answered) AS answered,
        count(*) FILTER (WHERE NOT c.outbound AND NOT c.answered AND c.voicemail) AS voicemails,
        count(*) FILTER (WHERE NOT c.outbound AND NOT c.answered) AS missed,
        count(*) FILTER (WHERE NOT c.outbound AND c.first_call) AS first_calls,
        count(*) FILTER (WHERE c.outbound) AS outbound
    FROM calls AS c
    GROUP BY 1, 2, 3
), became AS (
    SELECT date_trunc('month', v.called_at AT TIME ZONE {zone})::date AS month, v.tracker_id,
        extract(hour FROM v.called_at AT TIME ZONE {zone})::smallint AS hour,
        sum(v.appointments) AS appointments, sum(v.jobs) AS jobs, sum(v.revenue) AS revenue
    FROM marts.call_conversion AS v
        JOIN mart_hour AS w ON v.called_at >= w.begins_at AND v.called_at < w.ends_at
    GROUP BY 1, 2, 3
)
SELECT c.month, c.tracker_id, c.hour, c.tracker, c.calls::integer AS calls, c.answered::integer AS answered,
    c.voicemails::integer AS voicemails, c.missed::integer AS missed,
    round(c.answered::numeric / nullif(c.calls, 0), 4)::numeric(5, 4) AS answer_rate,
    c.first_calls::integer AS first_calls, c.outbound::integer AS outbound,
    coalesce(b.appointments, 0)::integer AS appointments, coalesce(b.jobs, 0)::integer AS jobs,
    coalesce(b.revenue, 0)::numeric(14, 2) AS revenue
FROM counted AS c LEFT JOIN became AS b USING (month, tracker_id, hour)

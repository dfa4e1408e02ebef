-- The last call of a person in the 90 days before the appointment was made, or before the sale without one.
WITH reached AS (
    SELECT j.person_id, coalesce(j.appointment_at, j.sold_at) AS at, (j.appointment_at IS NOT NULL)::integer AS appointments,
        j.jobs, j.sold_amount
    FROM marts.lead_journey AS j JOIN mart_person USING (person_id)
    WHERE coalesce(j.appointment_at, j.sold_at) IS NOT NULL
), calls AS (
    -- each account
    SELECT r.person_id, {account} || c.id AS id, c.start_time, coalesce({account} || c.tracker_id, '') AS tracker_id,
        r.appointments, r.jobs, r.sold_amount
    FROM reached AS r
        JOIN marts.activity_timeline AS t ON t.person_id = r.person_id AND t.source_table = 'callrail_call'
            AND t.certainty >= 0.8 AND t.occurred_at <= r.at AND t.occurred_at > r.at - interval '90 days'
        JOIN callrail_call AS c ON c.id = t.source_key
    WHERE NOT c.archived AND c.direction IS DISTINCT FROM 'outbound' AND c.start_time <= r.at
        AND c.start_time > r.at - interval '90 days'
    -- all accounts
)
SELECT DISTINCT ON (c.person_id) c.person_id, c.id AS call_id, c.start_time AS called_at,
    date_trunc('month', c.start_time AT TIME ZONE {zone})::date AS month, c.tracker_id, c.appointments, c.jobs,
    c.sold_amount AS revenue
FROM calls AS c
ORDER BY c.person_id, c.start_time DESC, c.id

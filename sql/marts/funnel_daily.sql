-- People who reached each stage on a day, by source, division, rep and zip. A person counts once in each stage, on one row,
-- so sums over any of the columns add up to the people of lead_journey. `cohort_*` count by the day of the lead instead:
-- of the people who became leads that day, how many came as far. {weight} is what a row counts: marts.mart says how.
SELECT e.day, coalesce(j.first_touch_source, 'unknown') AS source,
    coalesce(j.division, 'unknown') AS division, coalesce(j.rep, 'unknown') AS rep, coalesce(j.zip, 'unknown') AS zip,
    coalesce(sum({weight}) FILTER (WHERE e.stage = 'lead'), 0)::integer AS leads,
    coalesce(sum({weight}) FILTER (WHERE e.stage = 'appointment'), 0)::integer AS appointments,
    coalesce(sum({weight}) FILTER (WHERE e.stage = 'visit'), 0)::integer AS visits,
    coalesce(sum({weight}) FILTER (WHERE e.stage = 'sale'), 0)::integer AS sold,
    coalesce(sum({weight}) FILTER (WHERE e.stage = 'installation'), 0)::integer AS installed,
    coalesce(sum({weight}) FILTER (WHERE e.stage = 'payment'), 0)::integer AS paid,
    coalesce(sum({weight}) FILTER (WHERE e.stage = 'loss'), 0)::integer AS lost,
    coalesce(sum({weight} * j.sold_amount) FILTER (WHERE e.stage = 'sale'), 0)::numeric(16, 2) AS sold_amount,
    coalesce(sum({weight} * j.paid_amount) FILTER (WHERE e.stage = 'payment'), 0)::numeric(16, 2) AS paid_amount,
    coalesce(sum({weight}) FILTER (WHERE e.stage = 'lead' AND j.appointment_at IS NOT NULL), 0)::integer AS cohort_appointments,
    coalesce(sum({weight}) FILTER (WHERE e.stage = 'lead' AND j.visited_at IS NOT NULL), 0)::integer AS cohort_visits,
    coalesce(sum({weight}) FILTER (WHERE e.stage = 'lead' AND j.sold_at IS NOT NULL), 0)::integer AS cohort_sold,
    coalesce(sum({weight} * j.sold_amount) FILTER (WHERE e.stage = 'lead'), 0)::numeric(16, 2) AS cohort_sold_amount
FROM marts.lead_journey AS j,
    LATERAL (VALUES ('lead', j.lead_at), ('appointment', j.appointment_at), ('visit', j.visited_at), ('sale', j.sold_at),
        ('installation', j.installed_at), ('payment', j.paid_at), ('loss', j.lost_at)) AS s (stage, at),
    LATERAL (SELECT s.stage, (s.at AT TIME ZONE {zone})::date AS day WHERE s.at IS NOT NULL) AS e
GROUP BY 1, 2, 3, 4, 5

-- How far do people come, in how many days from the first word, and how many stop there?
SELECT j.stage, count(*) AS people, count(j.stopped_at) AS stopped,
    percentile_disc(0.5) WITHIN GROUP (ORDER BY extract(day FROM coalesce(j.sold_at, j.visited_at, j.appointment_at)
        - least(j.first_touch_at, j.lead_at))::integer) AS median_days,
    sum(j.sold_amount) AS sold_amount, sum(j.paid_amount) AS paid_amount
FROM marts.lead_journey AS j GROUP BY j.stage ORDER BY people DESC, j.stage

-- How far do the people of each source come?
SELECT f.source, sum(f.leads) AS leads, sum(f.cohort_appointments) AS appointments, sum(f.cohort_visits) AS visits,
    sum(f.cohort_sold) AS sold, sum(f.cohort_sold_amount) AS sold_amount,
    round(100.0 * sum(f.cohort_sold) / nullif(sum(f.leads), 0), 1) AS sold_percent
FROM marts.funnel_daily AS f GROUP BY f.source ORDER BY sold_amount DESC, f.source

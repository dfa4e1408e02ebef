-- The living leads of an organization: mean and median of their scores, and the tens that the scores are in.
SELECT count(*) AS leads, round(avg(l.lead_score), 1)::float8 AS mean,
    percentile_disc(0.5) WITHIN GROUP (ORDER BY l.lead_score) AS median,
    count(*) FILTER (WHERE l.lead_score_factors = '{}') AS never_scored,
    array_agg(least(l.lead_score / 10, 9)) AS tens
FROM crm.leads AS l WHERE l.deleted_at IS NULL HAVING count(*) > 0

-- How many deliveries of each source were refused within `hours`, by reason, and when the last one was.
SELECT source, outcome, sum(deliveries)::bigint AS deliveries, max(last_at) AS last_at
FROM orchestration.webhook_outcome
WHERE outcome NOT IN ('accepted', 'duplicate', 'ignored')
    AND hour > date_trunc('hour', clock_timestamp(), 'UTC') - make_interval(hours => %(hours)s)
GROUP BY source, outcome
ORDER BY source, outcome

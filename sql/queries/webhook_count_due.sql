-- How many deliveries may be worked off now, counting no further than `most`.
SELECT count(*) AS n
FROM (
    SELECT FROM orchestration.webhook_inbox
    WHERE status = 'pending' AND not_before <= clock_timestamp()
    LIMIT %(most)s
) AS few

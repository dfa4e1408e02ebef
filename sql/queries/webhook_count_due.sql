-- How many deliveries of each source may be worked off now; that one first whose delivery has been due for longest.
SELECT source, count(*) AS deliveries
FROM orchestration.webhook_inbox
WHERE status = 'pending' AND not_before <= clock_timestamp()
GROUP BY source
ORDER BY min(not_before), source

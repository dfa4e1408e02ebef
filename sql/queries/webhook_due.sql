-- The deliveries that may be worked off now, the oldest first, `most` of them.
SELECT id, source, headers, body, attempts, received_at
FROM orchestration.webhook_inbox
WHERE status = 'pending' AND not_before <= clock_timestamp()
ORDER BY id
LIMIT %(most)s

-- The deliveries that may be worked off now, the oldest first, `most` of them.
SELECT id, source, headers, body, attempts,
    extract(epoch FROM clock_timestamp() - received_at)::float8 AS age_seconds
FROM orchestration.webhook_inbox
WHERE status = 'pending' AND not_before <= clock_timestamp()
ORDER BY id
LIMIT %(most)s

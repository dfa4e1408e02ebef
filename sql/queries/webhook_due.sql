-- The deliveries of `source` that may be worked off now, `most` of them; those first that have been due for longest, so that
-- what waits for its entity again and again comes behind what nobody has looked at yet.
SELECT id, source, headers, body, attempts, received_at
FROM orchestration.webhook_inbox
WHERE status = 'pending' AND source = %(source)s AND not_before <= clock_timestamp()
ORDER BY not_before, id
LIMIT %(most)s

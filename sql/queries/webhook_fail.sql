-- Count a failed try of each delivery in `given` (id, message), and have it wait `first` times two for each try so far, at
-- most `longest`; after `most` tries, and at once if it is the `last` one, it is given up.
UPDATE orchestration.webhook_inbox AS i
SET attempts = i.attempts + 1, error_message = g.message,
    not_before = clock_timestamp() + least(%(longest)s, %(first)s * power(2, i.attempts)),
    status = CASE WHEN %(last)s OR i.attempts + 1 >= %(most)s THEN 'failed' ELSE 'pending' END,
    processed_at = CASE WHEN %(last)s OR i.attempts + 1 >= %(most)s THEN clock_timestamp() END
FROM jsonb_to_recordset(%(given)s::jsonb) AS g (id bigint, message text)
WHERE i.id = g.id AND i.status = 'pending'
RETURNING i.status

-- Count a failed try of each delivery in `given` (id, message), and have it wait `first` times two for each try so far, at
-- most `longest`; after `most` tries, and at once if it is the `last` one, it is given up. Locks as webhook_close does.
WITH given AS MATERIALIZED (
    SELECT i.id, g.message
    FROM orchestration.webhook_inbox AS i
        JOIN jsonb_to_recordset(%(given)s::jsonb) AS g (id bigint, message text) ON i.id = g.id
    WHERE i.status = 'pending'
    ORDER BY i.dedupe_key
    FOR UPDATE OF i
)
UPDATE orchestration.webhook_inbox AS i
SET attempts = i.attempts + 1, error_message = given.message,
    not_before = clock_timestamp() + least(%(longest)s, %(first)s * power(2, i.attempts)),
    status = CASE WHEN %(last)s OR i.attempts + 1 >= %(most)s THEN 'failed' ELSE 'pending' END,
    processed_at = CASE WHEN %(last)s OR i.attempts + 1 >= %(most)s THEN clock_timestamp() END
FROM given WHERE i.id = given.id
RETURNING i.status

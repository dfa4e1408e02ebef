-- Close the deliveries `ids` as `status`, and empty their bodies: what they name has been read. One that came again since it was
-- taken, as it was received at the time in `received`, stays: it may tell of what the vendor did after it was asked.
-- Whatever updates several deliveries locks them in the order of their keys first, so that no two wait for each other.
WITH given AS MATERIALIZED (
    SELECT i.id
    FROM orchestration.webhook_inbox AS i
        JOIN unnest(%(ids)s::bigint[], %(received)s::timestamptz[]) AS g (id, received_at)
            ON i.id = g.id AND i.received_at = g.received_at
    WHERE i.status = 'pending'
    ORDER BY i.dedupe_key
    FOR UPDATE OF i
)
UPDATE orchestration.webhook_inbox AS i
SET status = %(status)s, processed_at = clock_timestamp(), body = '', error_message = NULL
FROM given WHERE i.id = given.id

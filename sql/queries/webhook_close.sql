-- Close the deliveries `ids` as `status`, and empty their bodies: what they name has been read. One that came again since it was
-- taken, as it was received at the time in `received`, stays: it may tell of what the vendor did after it was asked.
UPDATE orchestration.webhook_inbox AS i
SET status = %(status)s, processed_at = clock_timestamp(), body = '', error_message = NULL
FROM unnest(%(ids)s::bigint[], %(received)s::timestamptz[]) AS g (id, received_at)
WHERE i.id = g.id AND i.received_at = g.received_at AND i.status = 'pending'

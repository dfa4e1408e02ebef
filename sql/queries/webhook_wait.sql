-- Have the deliveries `ids` wait for `seconds`, or a tenth of the time since they came where that is more and not above
-- `most`; `reason` says why, if it is not null. Locks as webhook_close does.
WITH given AS MATERIALIZED (
    SELECT id FROM orchestration.webhook_inbox
    WHERE id = ANY(%(ids)s) AND status = 'pending'
    ORDER BY dedupe_key
    FOR UPDATE
)
UPDATE orchestration.webhook_inbox AS i
SET not_before = clock_timestamp() + make_interval(secs => greatest(%(seconds)s,
        least(%(most)s, extract(epoch FROM clock_timestamp() - i.received_at)::float8 / 10))),
    error_message = coalesce(%(reason)s, i.error_message)
FROM given WHERE i.id = given.id

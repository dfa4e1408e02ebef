-- Have the deliveries `ids` wait for `seconds`.
UPDATE orchestration.webhook_inbox
SET not_before = clock_timestamp() + make_interval(secs => %(seconds)s)
WHERE id = ANY(%(ids)s) AND status = 'pending'

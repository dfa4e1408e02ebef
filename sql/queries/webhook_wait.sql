-- Have the deliveries `ids` wait for `seconds`, or a tenth of the time since they came where that is more and not above
-- `most`; `reason` says why, if it is not null.
UPDATE orchestration.webhook_inbox
SET not_before = clock_timestamp() + make_interval(secs => greatest(%(seconds)s,
        least(%(most)s, extract(epoch FROM clock_timestamp() - received_at)::float8 / 10))),
    error_message = coalesce(%(reason)s, error_message)
WHERE id = ANY(%(ids)s) AND status = 'pending'

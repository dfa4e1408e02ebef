-- How many deliveries wait to be worked off, and for how many seconds the oldest has.
SELECT count(*), coalesce(extract(epoch FROM clock_timestamp() - min(least(received_at, not_before))), 0)::float8
FROM orchestration.webhook_inbox WHERE status = 'pending'

-- Close the deliveries `ids` as `status`, and empty their bodies: what they name has been read.
UPDATE orchestration.webhook_inbox
SET status = %(status)s, processed_at = clock_timestamp(), body = '', error_message = NULL
WHERE id = ANY(%(ids)s) AND status = 'pending'

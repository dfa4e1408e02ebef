-- Write down that a record is sent. A receipt that is there is one whose outcome was unknown, or that was put off, and is
-- sent once more.
INSERT INTO reverse_etl.receipt (operation_id, plan_id, target, action, source_key, subject, object_id, fields)
    VALUES (%(operation)s, %(plan)s, %(target)s, %(action)s, %(key)s, %(subject)s, %(object)s, %(fields)s)
    ON CONFLICT (operation_id) DO UPDATE
    SET status = 'sending', attempts = receipt.attempts + 1, sent_at = clock_timestamp(), message = NULL

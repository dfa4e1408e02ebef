-- Writes down what is about to be handed over, or left to a person. What was settled stays.
--
-- organization, enrollment, step, lead, channel, status, recipient, subject, body, sender
INSERT INTO crm.sequence_message AS m
    (organization_id, enrollment_id, step, lead_id, channel, status, recipient, subject, body, sender, attempts,
     handed_over_at)
VALUES (%(organization)s, %(enrollment)s, %(step)s, %(lead)s, %(channel)s, %(status)s, %(recipient)s, %(subject)s,
        %(body)s, %(sender)s, 1, clock_timestamp())
ON CONFLICT (organization_id, enrollment_id, step) DO UPDATE
    SET channel = excluded.channel, status = excluded.status, recipient = excluded.recipient, subject = excluded.subject,
        body = excluded.body, sender = excluded.sender, problem = NULL, attempts = m.attempts + 1,
        handed_over_at = excluded.handed_over_at
    WHERE m.settled_at IS NULL
RETURNING m.id, m.attempts

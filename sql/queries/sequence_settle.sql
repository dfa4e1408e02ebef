-- A message was sent, or done by a person.
--
-- organization, enrollment, step, status, reference
UPDATE crm.sequence_message AS m
SET status = %(status)s, reference = CASE WHEN m.recipient IS NOT NULL THEN %(reference)s END, problem = NULL,
    settled_at = clock_timestamp()
WHERE m.organization_id = %(organization)s AND m.enrollment_id = %(enrollment)s AND m.step = %(step)s
    AND m.settled_at IS NULL

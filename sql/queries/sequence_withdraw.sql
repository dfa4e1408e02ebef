-- Withholds what was to be sent or done by enrollments that were stopped.
--
-- organization
UPDATE crm.sequence_message AS m
SET status = 'withheld', settled_at = clock_timestamp(), problem = 'stopped: ' || coalesce(e.stop_reason, '')
FROM crm.lead_sequence_enrollments AS e
WHERE m.organization_id = %(organization)s AND e.organization_id = m.organization_id AND e.id = m.enrollment_id
    AND e.status = 'stopped' AND m.status IN ('waiting', 'retry')

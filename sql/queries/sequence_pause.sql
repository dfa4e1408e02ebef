-- Pauses an enrollment, with the reason in its log.
--
-- organization, enrollment, reason
UPDATE crm.lead_sequence_enrollments AS e
SET status = 'paused', execution_log = e.execution_log || jsonb_build_object(
    'step', e.current_step, 'event', 'paused', 'at', clock_timestamp(), 'reason', %(reason)s::text)
WHERE e.organization_id = %(organization)s AND e.id = %(enrollment)s AND e.status = 'active'

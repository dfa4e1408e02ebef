-- Has a paused enrollment go on: what the person wrote before is answered.
--
-- organization, enrollment
UPDATE crm.lead_sequence_enrollments AS e
SET status = 'active', next_run_at = coalesce(e.next_run_at, now()), execution_log = e.execution_log || jsonb_build_object(
    'step', e.current_step, 'event', 'resumed', 'at', clock_timestamp())
WHERE e.organization_id = %(organization)s AND e.id = %(enrollment)s AND e.status = 'paused'

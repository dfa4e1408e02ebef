-- Leaves a step out: the enrollment goes on to the next. It is no step that was done.
--
-- organization, enrollment, step
UPDATE crm.lead_sequence_enrollments AS e
SET current_step = e.current_step + 1, status = 'active',
    next_run_at = now() + interval '1 minute' * coalesce(
        (s.steps #>> ARRAY[(e.current_step + 1)::text, 'delay_minutes'])::float8, 0),
    execution_log = e.execution_log || jsonb_build_object(
        'step', e.current_step, 'event', 'skipped', 'at', clock_timestamp())
FROM crm.nurture_sequences AS s
WHERE s.organization_id = e.organization_id AND s.id = e.sequence_id AND e.organization_id = %(organization)s
    AND e.id = %(enrollment)s AND e.current_step = %(step)s AND e.status IN ('active', 'paused')

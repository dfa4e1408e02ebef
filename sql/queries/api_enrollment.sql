-- A lead on its way through a sequence.
--
-- id
SELECT e.id, e.lead_id, e.sequence_id, e.current_step, e.status, e.stop_reason, e.next_run_at, e.enrolled_at,
    e.completed_at
FROM crm.lead_sequence_enrollments AS e WHERE e.id = %(id)s

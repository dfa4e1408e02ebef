-- The enrollment that has been due for longest, locked; none that another worker has.
--
-- organization
SELECT e.id, e.lead_id, e.current_step AS step, e.execution_log AS log, e.enrolled_at, s.steps, s.name AS sequence
FROM crm.lead_sequence_enrollments AS e
    JOIN crm.nurture_sequences AS s ON s.organization_id = e.organization_id AND s.id = e.sequence_id
WHERE e.organization_id = %(organization)s AND e.status = 'active' AND e.next_run_at <= now() AND s.is_active
ORDER BY e.next_run_at LIMIT 1 FOR UPDATE OF e SKIP LOCKED

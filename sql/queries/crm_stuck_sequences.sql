-- The active enrollments that have been due for longer than the interval `stuck`, by sequence.
SELECT e.sequence_id::text AS sequence_id, s.is_active AS sequence_is_active, count(*) AS enrollments,
    min(e.next_run_at) AS oldest_due, (array_agg(e.id::text ORDER BY e.next_run_at))[1] AS oldest_enrollment
FROM crm.lead_sequence_enrollments AS e
    JOIN crm.nurture_sequences AS s ON s.organization_id = e.organization_id AND s.id = e.sequence_id
WHERE e.status = 'active' AND (e.next_run_at IS NULL OR e.next_run_at < now() - %(stuck)s::interval)
GROUP BY e.sequence_id, s.is_active ORDER BY 3 DESC

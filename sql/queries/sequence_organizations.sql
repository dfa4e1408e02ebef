-- The organizations that have enrollments which are due, open messages, or segments that may fill a sequence. Read as
-- crm_definer.
SELECT DISTINCT organization_id FROM crm.lead_sequence_enrollments WHERE status = 'active' AND next_run_at <= now()
UNION SELECT organization_id FROM crm.sequence_message WHERE settled_at IS NULL
UNION SELECT organization_id FROM crm.segments ORDER BY 1

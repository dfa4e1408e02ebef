-- Undo 0025.
SET LOCAL ROLE crm_owner;
DROP VIEW crm.sequence_step, crm.lead_tag_change, crm.lead_assignment, crm.lead_status_change, crm.lead_entry,
    crm.lead_person;
DROP POLICY definer ON crm.nurture_sequences;
DROP POLICY definer ON crm.lead_source_costs;
DROP INDEX crm.lead_audit_log_tags, crm.lead_status_history_own, crm.lead_assignments_own;
RESET ROLE;
UPDATE crm.lead_assignments SET strategy = 'manual' WHERE strategy = 'import';
SET LOCAL ROLE crm_owner;
ALTER TABLE crm.lead_assignments DROP CONSTRAINT lead_assignments_strategy_known,
    ADD CONSTRAINT lead_assignments_strategy_known CHECK (strategy IN ('manual', 'round_robin', 'territory', 'load'));
COMMENT ON SCHEMA crm IS NULL;
RESET ROLE;

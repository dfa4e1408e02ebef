-- Undo 0028. As the user that migrates, whom the policies of crm let see every organization.
DELETE FROM crm.lead_import_row WHERE outcome = 'unread';

SET LOCAL ROLE crm_owner;

ALTER TABLE crm.lead_import_row DROP CONSTRAINT lead_import_row_outcome_known,
    ADD CONSTRAINT lead_import_row_outcome_known
    CHECK (outcome IN ('created', 'updated', 'duplicate', 'refused'));

ALTER VIEW crm.entered_leads RENAME COLUMN is_excluded TO gone;

COMMENT ON SCHEMA crm IS NULL;

RESET ROLE;

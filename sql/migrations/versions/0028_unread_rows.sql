-- What a file of leads has below a place that cannot be read is an outcome, too: `unread`, of the first such row. And the
-- flag of crm.entered_leads is called after what it tells.

SET LOCAL ROLE crm_owner;

ALTER TABLE crm.lead_import_row DROP CONSTRAINT lead_import_row_outcome_known,
    ADD CONSTRAINT lead_import_row_outcome_known
    CHECK (outcome IN ('created', 'updated', 'duplicate', 'refused', 'unread'));

ALTER VIEW crm.entered_leads RENAME COLUMN gone TO is_excluded;

-- So that sql/schemas/crm.sql runs again, although it may not have changed since this revision was undone.
COMMENT ON SCHEMA crm IS NULL;

RESET ROLE;

DROP INDEX IF EXISTS crm.consent_fact_said_from, crm.dnc_list_ended;
ALTER TABLE crm.consent_fact DROP COLUMN is_dated;

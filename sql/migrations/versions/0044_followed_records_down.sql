DROP INDEX IF EXISTS crm.lead_feed_records, crm.leads_deleted, marts.sale_persons;
ALTER TABLE crm.lead_feed DROP COLUMN records;
ALTER TABLE marts.sale DROP COLUMN person_ids;

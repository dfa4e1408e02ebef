-- By which records of others a lead is found again, and of whom a sale is. The next feed, and the next run of the marts, fill
-- them.

SET LOCAL ROLE crm_owner;

ALTER TABLE crm.lead_feed ADD COLUMN records text[] NOT NULL DEFAULT '{}';
COMMENT ON COLUMN crm.lead_feed.records IS
    'Each as the table and the key: rows that are no person''s own and tell of this one, such as jobs, and the staff whom its '
    'sources name. When one of them changes, the lead is computed again.';

-- So that sql/schemas/crm.sql, which grants columns one by one, runs again.
COMMENT ON SCHEMA crm IS NULL;

RESET ROLE;

ALTER TABLE marts.sale ADD COLUMN person_ids uuid[] NOT NULL DEFAULT '{}';
COMMENT ON COLUMN marts.sale.person_ids IS
    'All whom its records name: two where two CRMs name two people of one household.';

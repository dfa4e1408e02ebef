-- Undo what 0025 did to the marts. Comments stay as they are.
DELETE FROM marts.activity_timeline WHERE crm_source = 'crm';
-- The next migration makes the view again.
DROP VIEW IF EXISTS answers.follow_up;
ALTER TABLE marts.follow_up_recommendations DROP COLUMN bases;
ALTER TABLE marts.rep_performance DROP COLUMN leads_assigned;
ALTER TABLE marts.position DROP COLUMN counts, DROP COLUMN computed_at;

DELETE FROM marts.position WHERE mart IN
    ('activity_timeline', 'lead_lifecycle', 'funnel_daily', 'zip_performance', 'source_roi', 'duplicates', 'relationships');
DROP INDEX IF EXISTS crm.leads_updated, crm.leads_referred, marts.relationships_via, marts.relationships_referral;
DROP TRIGGER note_deleted ON crm.leads;
DROP TRIGGER note_deleted ON crm.lead_assignments;
DROP FUNCTION identity.note_deleted_of_crm();
DROP TABLE marts.changed_row, marts.crowded_group;

-- Undo 0019. In psql, to undo it although rows would be lost: SET warehouse.force_down = on;
DO $$
BEGIN
    IF coalesce(nullif(current_setting('warehouse.force_down', true), ''), 'off')::boolean IS FALSE
        AND EXISTS (SELECT FROM crm.lead_feed WHERE entered IS NOT NULL)
    THEN
        RAISE object_in_use USING
            MESSAGE = 'Undoing revision 0019_entered_leads would delete what was entered in leads before the feed took them over.',
            HINT = 'Save crm.lead_feed first, or repeat with --force.';
    END IF;
END
$$;
DROP VIEW marts.unmapped_lead_source;
DELETE FROM identity.record WHERE source_table = 'crm.entered_leads';
DELETE FROM identity.read_position WHERE source_table = 'crm.entered_leads';
SET LOCAL ROLE crm_owner;
DROP VIEW crm.entered_leads;
ALTER TABLE crm.lead_feed DROP COLUMN entered;
DROP FUNCTION crm.lead_source(text);
DROP TABLE crm.lead_source_alias;
CREATE INDEX leads_shared_phone ON crm.leads (organization_id, (source_metadata #>> '{shared_phones,0}'))
    WHERE source_metadata ? 'shared_phones';
COMMENT ON SCHEMA crm IS NULL;
RESET ROLE;

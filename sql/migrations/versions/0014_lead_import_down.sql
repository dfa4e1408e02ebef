-- Undo 0014. In psql, to undo it although there are imports: SET warehouse.force_down = on;
SET LOCAL ROLE crm_owner;
ALTER TABLE crm.lead_import NO FORCE ROW LEVEL SECURITY;
DO $$
BEGIN
    IF coalesce(nullif(current_setting('warehouse.force_down', true), ''), 'off')::boolean IS FALSE
        AND EXISTS (SELECT FROM crm.lead_import)
    THEN
        RAISE object_in_use USING
            MESSAGE = 'Undoing revision 0014_lead_import would delete the record of the files that were imported.',
            HINT = 'Without it no import can be undone. Save crm.lead_import and crm.lead_import_row, or repeat with --force.';
    END IF;
END
$$;
DROP INDEX crm.leads_shared_phones;
DROP TABLE crm.lead_import_row, crm.lead_import;
DROP FUNCTION crm.lead_fingerprint(crm.leads);
RESET ROLE;

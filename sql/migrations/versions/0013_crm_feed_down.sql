-- Undo 0013. In psql, to undo it although rows would be lost: SET warehouse.force_down = on;
--
-- The next feed makes all of it again but for what people entered, and for opt-outs whose flag was withdrawn since.
DO $$
BEGIN
    IF coalesce(nullif(current_setting('warehouse.force_down', true), ''), 'off')::boolean IS FALSE
        AND (EXISTS (SELECT FROM crm.lead_feed) OR EXISTS (SELECT FROM crm.consent_fact)
             OR EXISTS (SELECT FROM crm.feed_source) OR EXISTS (SELECT FROM crm.fx_rate)
             OR EXISTS (SELECT FROM crm.dnc_list WHERE 'mail' = ANY (channels)))
    THEN
        RAISE object_in_use USING
            MESSAGE = 'Undoing revision 0013_crm_feed would delete where the values of leads came from, and opt-outs.',
            HINT = 'Save crm.lead_feed, crm.consent_fact, crm.feed_source and crm.fx_rate first, or repeat with --force.';
    END IF;
END
$$;
DROP SCHEMA marts CASCADE;
DROP VIEW crm.lead_field_origin;
DROP TABLE crm.feed_source, crm.status_mapping, crm.status_rank, crm.source_status, crm.feed_position, crm.fx_rate,
    crm.lead_feed, crm.consent_fact;
DROP INDEX crm.leads_golden, crm.leads_shared_phone;
ALTER TABLE crm.lead_source_costs DROP COLUMN fed_amount;
-- An entry that forbids post alone forbids everything then: never less than before.
ALTER TABLE crm.dnc_list DROP CONSTRAINT dnc_list_channels_known, DROP COLUMN since, NO FORCE ROW LEVEL SECURITY;
UPDATE crm.dnc_list SET channels = CASE WHEN channels <@ '{mail}' THEN '{call,sms,email}'
                                        ELSE array_remove(channels, 'mail') END
    WHERE 'mail' = ANY (channels);
ALTER TABLE crm.dnc_list FORCE ROW LEVEL SECURITY,
    ADD CONSTRAINT dnc_list_channels_known CHECK (channels <@ '{call,sms,email}' AND channels <> '{}'
                                                  AND array_position(channels, NULL) IS NULL);

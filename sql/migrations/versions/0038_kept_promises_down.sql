-- Undo 0038. In psql, to undo it although there are hashes of addresses that no lead of the entry has (any more):
-- SET warehouse.force_down = on;
SET LOCAL ROLE crm_owner;
ALTER TABLE crm.dnc_list NO FORCE ROW LEVEL SECURITY;
SET LOCAL ROLE crm_definer;
DO $$
BEGIN
    IF coalesce(nullif(current_setting('warehouse.force_down', true), ''), 'off')::boolean IS FALSE
        AND EXISTS (
            SELECT FROM crm.dnc_list AS d
            WHERE d.email_hash IS NOT NULL AND NOT EXISTS (
                SELECT FROM crm.leads AS l JOIN crm.system_config AS c
                    ON c.organization_id = l.organization_id AND c.key = 'dnc.hash_key'
                WHERE l.organization_id = d.organization_id AND l.id = d.lead_id
                    AND crm.email_hash(l.email, decode(c.value #>> '{}', 'hex')) = d.email_hash))
    THEN
        RAISE object_in_use USING
            MESSAGE = 'Undoing revision 0038_kept_promises would forget which erased addresses must not be written to.',
            HINT = 'Save id and email_hash of crm.dnc_list, or repeat with --force.';
    END IF;
END
$$;
SET LOCAL ROLE crm_owner;
ALTER TABLE crm.dnc_list FORCE ROW LEVEL SECURITY, DROP COLUMN email_hash;
DROP FUNCTION IF EXISTS crm.email_hash(text, bytea);

ALTER TABLE crm.sequence_message
    DROP CONSTRAINT sequence_message_status_known,
    DROP CONSTRAINT sequence_message_settled,
    NO FORCE ROW LEVEL SECURITY;
UPDATE crm.sequence_message SET status = 'sent' WHERE status = 'recorded';
ALTER TABLE crm.sequence_message
    ADD CONSTRAINT sequence_message_status_known CHECK (status IN (
        'sending', 'waiting', 'retry', 'parked', 'uncertain', 'sent', 'done', 'withheld')),
    ADD CONSTRAINT sequence_message_settled
        CHECK ((status IN ('sent', 'done', 'withheld')) = (settled_at IS NOT NULL)),
    FORCE ROW LEVEL SECURITY;
COMMENT ON SCHEMA crm IS NULL;
RESET ROLE;

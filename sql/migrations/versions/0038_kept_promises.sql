-- An opt-out by e-mail outlives the erasure of the address, and what the outbox keeps is not called sent.

SET LOCAL ROLE crm_owner;

ALTER TABLE crm.dnc_list
    ADD COLUMN email_hash bytea CONSTRAINT dnc_list_email_hash_is_one CHECK (octet_length(email_hash) = 32);
COMMENT ON COLUMN crm.dnc_list.email_hash IS
    'After an erasure, in place of the e-mail address of the lead that the entry names: see email_hash.';
CREATE INDEX dnc_list_email_hash ON crm.dnc_list (organization_id, email_hash)
    WHERE email_hash IS NOT NULL AND ended_at IS NULL;

ALTER TABLE crm.sequence_message
    DROP CONSTRAINT sequence_message_status_known,
    DROP CONSTRAINT sequence_message_settled,
    ADD CONSTRAINT sequence_message_status_known CHECK (status IN (
        'sending', 'waiting', 'retry', 'parked', 'uncertain', 'sent', 'recorded', 'done', 'withheld')),
    ADD CONSTRAINT sequence_message_settled
        CHECK ((status IN ('sent', 'recorded', 'done', 'withheld')) = (settled_at IS NOT NULL)),
    NO FORCE ROW LEVEL SECURITY;
UPDATE crm.sequence_message SET status = 'recorded'
    WHERE sender = 'outbox' AND status = 'sent' AND coalesce(reference, 'kept') = 'kept';
ALTER TABLE crm.sequence_message FORCE ROW LEVEL SECURITY;

-- So that sql/schemas/crm.sql runs again, although it may not have changed since this revision was undone.
COMMENT ON SCHEMA crm IS NULL;

RESET ROLE;

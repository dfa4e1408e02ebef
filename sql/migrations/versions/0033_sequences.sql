-- Templates of messages, and an outbox of what sequences send. The policies are given their text by sql/schemas/crm.sql,
-- which runs next.

SET LOCAL ROLE crm_owner;

CREATE TABLE crm.message_template (
    organization_id uuid        NOT NULL,
    name            text        NOT NULL CONSTRAINT message_template_name_given CHECK (name <> ''),
    channel         text        NOT NULL CONSTRAINT message_template_channel_known
                                CHECK (channel IN ('sms', 'email', 'call', 'voicemail', 'mail', 'task')),
    subject         text,
    body            text        NOT NULL CONSTRAINT message_template_body_given CHECK (body <> ''),
    created_at      timestamptz NOT NULL DEFAULT now(),
    updated_at      timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (organization_id, name, channel)
);
COMMENT ON TABLE crm.message_template IS
    'Texts that steps of sequences name by `template`. A step may have its `subject` and `body` itself instead.';

-- The key lets a step of an enrollment have one message, whatever crashes when.
CREATE TABLE crm.sequence_message (
    id              uuid        NOT NULL DEFAULT gen_random_uuid(),
    organization_id uuid        NOT NULL,
    enrollment_id   uuid        NOT NULL,
    step            integer     NOT NULL,
    lead_id         uuid        NOT NULL,
    channel         text        NOT NULL,
    status          text        NOT NULL CONSTRAINT sequence_message_status_known CHECK (status IN (
                        'sending', 'waiting', 'retry', 'parked', 'uncertain', 'sent', 'done', 'withheld')),
    recipient       text,
    subject         text,
    body            text,
    sender          text,
    reference       text,
    problem         text,
    attempts        integer     NOT NULL DEFAULT 0 CONSTRAINT sequence_message_attempts_counted CHECK (attempts >= 0),
    created_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    handed_over_at  timestamptz,
    settled_at      timestamptz,
    PRIMARY KEY (organization_id, enrollment_id, step),
    CONSTRAINT sequence_message_settled CHECK ((status IN ('sent', 'done', 'withheld')) = (settled_at IS NOT NULL)),
    CONSTRAINT sequence_message_enrollment FOREIGN KEY (organization_id, enrollment_id)
        REFERENCES crm.lead_sequence_enrollments (organization_id, id) ON DELETE CASCADE,
    CONSTRAINT sequence_message_lead FOREIGN KEY (organization_id, lead_id)
        REFERENCES crm.leads (organization_id, id) ON DELETE CASCADE
);
COMMENT ON TABLE crm.sequence_message IS
    'What steps of sequences send, or leave to a person: one row for each step of an enrollment, written before it is handed over.';
CREATE UNIQUE INDEX sequence_message_id ON crm.sequence_message (organization_id, id);
CREATE INDEX sequence_message_lead ON crm.sequence_message (organization_id, lead_id);
CREATE INDEX sequence_message_open ON crm.sequence_message (organization_id, created_at) WHERE settled_at IS NULL;

ALTER TABLE crm.message_template ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE crm.sequence_message ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY organization ON crm.message_template
    USING (organization_id = nullif(current_setting('app.organization_id', true), '')::uuid)
    WITH CHECK (organization_id = nullif(current_setting('app.organization_id', true), '')::uuid);
CREATE POLICY organization ON crm.sequence_message
    USING (organization_id = nullif(current_setting('app.organization_id', true), '')::uuid)
    WITH CHECK (organization_id = nullif(current_setting('app.organization_id', true), '')::uuid);
CREATE POLICY definer ON crm.sequence_message TO crm_definer USING (true) WITH CHECK (true);
-- Erasure empties what was written to a person.
GRANT SELECT, UPDATE (recipient, subject, body, reference, problem, status, settled_at) ON crm.sequence_message
    TO crm_definer;

-- So that sql/schemas/crm.sql runs again, although it may not have changed since this revision was undone.
COMMENT ON SCHEMA crm IS NULL;

RESET ROLE;

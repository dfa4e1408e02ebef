-- Whether the time of a consent is one at which it was given. The next feed says it of what is there.

SET LOCAL ROLE crm_owner;

ALTER TABLE crm.consent_fact ADD COLUMN is_dated boolean;
COMMENT ON COLUMN crm.consent_fact.is_dated IS
    'Of a consent: whether given_at is when it was given. If not, any opt-out ends it, and given_at is when the record was made.';

-- So that sql/schemas/crm.sql, which grants columns one by one, runs again.
COMMENT ON SCHEMA crm IS NULL;

RESET ROLE;

-- The accounts that config/accounts.toml declared so far, so that a program which does not know one says so, and leaves
-- no account out when people are resolved, exported or erased. The name of one that was removed is not given again: what
-- was decided about its records and written to its people is kept by its tables and keys.
CREATE TABLE orchestration.account (
    source     text        PRIMARY KEY,
    crm        text        NOT NULL,
    name       text        NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    removed_at timestamptz,
    CONSTRAINT account_is_named_so CHECK (source = crm || '_' || name)
);
COMMENT ON TABLE orchestration.account IS
    'The accounts of CRMs beside the first one of each. Written by warehouse migrate.';
COMMENT ON COLUMN orchestration.account.source IS
    'What its schema is called, and crm_source in the history, such as hubspot_west.';
COMMENT ON COLUMN orchestration.account.crm IS 'Whose account it is, such as hubspot.';
COMMENT ON COLUMN orchestration.account.name IS 'The name in config/accounts.toml, such as west.';
COMMENT ON COLUMN orchestration.account.created_at IS 'When its tables were made.';
COMMENT ON COLUMN orchestration.account.removed_at IS
    'When its tables were deleted; null while it is there. No other account can have its name.';
-- Whoever runs the feed or sequences asks whether it knows all accounts, and may have the rights of crm alone.
GRANT USAGE ON SCHEMA orchestration TO crm_owner;
GRANT SELECT ON orchestration.account TO crm_owner;

-- An account has an address of its own for webhooks, with its underscore.
ALTER TABLE orchestration.webhook_inbox
    DROP CONSTRAINT webhook_inbox_source_check,
    ADD CONSTRAINT webhook_inbox_source_check CHECK (source ~ '^[a-z0-9_]{1,80}$');
ALTER TABLE orchestration.webhook_outcome
    DROP CONSTRAINT webhook_outcome_source_check,
    ADD CONSTRAINT webhook_outcome_source_check CHECK (source ~ '^[a-z0-9_]{1,80}$');

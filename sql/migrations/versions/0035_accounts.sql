-- The accounts that config/accounts.toml declared so far, so that a program which does not know one says so, and leaves
-- no account out when people are resolved, exported or erased.
CREATE TABLE orchestration.account (
    source     text        PRIMARY KEY,
    crm        text        NOT NULL,
    name       text        NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT account_is_named_so CHECK (source = crm || '_' || name)
);
COMMENT ON TABLE orchestration.account IS
    'The accounts of CRMs beside the first one of each. Written by warehouse migrate.';
COMMENT ON COLUMN orchestration.account.source IS
    'What its schema is called, and crm_source in the history, such as hubspot_west.';
COMMENT ON COLUMN orchestration.account.crm IS 'Whose account it is, such as hubspot.';
COMMENT ON COLUMN orchestration.account.name IS 'The name in config/accounts.toml, such as west.';
COMMENT ON COLUMN orchestration.account.created_at IS 'When its tables were made.';

DELETE FROM orchestration.account WHERE name = '';
ALTER TABLE orchestration.account
    DROP COLUMN account_since,
    DROP CONSTRAINT account_is_named_so,
    ADD CONSTRAINT account_is_named_so CHECK (source = crm || '_' || name);
COMMENT ON TABLE orchestration.account IS
    'The accounts of CRMs beside the first one of each. Written by warehouse migrate.';
COMMENT ON COLUMN orchestration.account.name IS 'The name in config/accounts.toml, such as west.';
COMMENT ON COLUMN orchestration.account.created_at IS 'When its tables were made.';

-- `warehouse accounts empty` notes when: runs from before neither say whose account the tables are of, nor from when to
-- read. The account without a name has a row only then, with an empty name.
ALTER TABLE orchestration.account
    DROP CONSTRAINT account_is_named_so,
    ADD CONSTRAINT account_is_named_so CHECK (source = crm || '_' || name OR name = '' AND source = crm) NOT VALID;
COMMENT ON TABLE orchestration.account IS
    'The accounts of CRMs beside the first one of each, which has a row once it was emptied. Written by warehouse migrate '
    'and warehouse accounts.';
COMMENT ON COLUMN orchestration.account.name IS
    'The name in config/accounts.toml, such as west; empty for the account without a name.';
COMMENT ON COLUMN orchestration.account.created_at IS 'When its tables were made, or emptied last.';

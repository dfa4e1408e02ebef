-- `warehouse accounts empty` notes when: runs from before do not say from when to read, and, once it is done, not whose
-- account the tables are of either. The account without a name has a row only then, with an empty name.
ALTER TABLE orchestration.account
    ADD COLUMN account_since timestamptz,
    DROP CONSTRAINT account_is_named_so,
    ADD CONSTRAINT account_is_named_so CHECK (source = crm || '_' || name OR name = '' AND source = crm) NOT VALID;
ALTER TABLE orchestration.account ALTER COLUMN account_since SET DEFAULT now();
UPDATE orchestration.account SET account_since = created_at;
COMMENT ON TABLE orchestration.account IS
    'The accounts of CRMs beside the first one of each, which has a row once it was emptied. Written by warehouse migrate '
    'and warehouse accounts.';
COMMENT ON COLUMN orchestration.account.name IS
    'The name in config/accounts.toml, such as west; empty for the account without a name.';
COMMENT ON COLUMN orchestration.account.created_at IS
    'When its tables were made, or their rows deleted last: no run from before says from when to read.';
COMMENT ON COLUMN orchestration.account.account_since IS
    'Since when runs say whose account the tables are of; null where all say it.';

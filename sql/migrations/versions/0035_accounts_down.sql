DO $$
DECLARE
    of_account text;
BEGIN
    FOR of_account IN SELECT source FROM orchestration.account LOOP
        EXECUTE format('DROP SCHEMA IF EXISTS %I CASCADE', of_account);
    END LOOP;
END
$$;
DROP SCHEMA IF EXISTS accounts CASCADE;
DROP TABLE orchestration.account;
DELETE FROM orchestration.webhook_inbox WHERE source LIKE '%\_%';
DELETE FROM orchestration.webhook_outcome WHERE source LIKE '%\_%';
ALTER TABLE orchestration.webhook_inbox
    DROP CONSTRAINT webhook_inbox_source_check,
    ADD CONSTRAINT webhook_inbox_source_check CHECK (source ~ '^[a-z0-9]{1,50}$');
ALTER TABLE orchestration.webhook_outcome
    DROP CONSTRAINT webhook_outcome_source_check,
    ADD CONSTRAINT webhook_outcome_source_check CHECK (source ~ '^[a-z0-9]{1,50}$');
REVOKE USAGE ON SCHEMA orchestration FROM crm_owner;

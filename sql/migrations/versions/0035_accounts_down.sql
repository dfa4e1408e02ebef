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

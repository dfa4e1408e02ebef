-- In a restore's transaction, when its schemas are there and nothing is in them: what lets objects be given to their
-- owners by a user who is no superuser. Who loads gets the database where it belongs to who restores. To own a function in
-- a schema a role must be allowed to create in it, at that moment; restored_quiet takes that back.
DO $$
DECLARE
    loader pg_roles;
BEGIN
    SELECT r.* INTO loader
    FROM pg_namespace AS n JOIN pg_roles AS r ON r.oid = n.nspowner
    WHERE n.nspname = 'orchestration';
    IF NOT loader.rolsuper AND loader.rolname <> current_user AND current_user = (
        SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = current_database())
    THEN
        BEGIN
            EXECUTE format('ALTER DATABASE %I OWNER TO %I', current_database(), loader.rolname);
        EXCEPTION WHEN insufficient_privilege THEN
            NULL; -- Nobody gives a database away without CREATEDB; it stays, and is to be made as that role's.
        END;
    END IF;
    IF to_regnamespace('crm') IS NOT NULL THEN
        GRANT CREATE ON SCHEMA crm TO crm_definer;
    END IF;
    IF EXISTS (SELECT FROM pg_namespace WHERE nspname = 'masked' AND nspowner <> loader.oid) THEN
        EXECUTE format('GRANT CREATE ON SCHEMA masked TO %I', loader.rolname);
    END IF;
END
$$;

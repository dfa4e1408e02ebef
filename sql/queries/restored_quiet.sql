-- The end of a restore's transaction: sessions of browsers end, because one may have been signed out since the backup;
-- sequences are switched off, because who opted out since then is not known. The schema restore_unfinished stays until
-- the rows have been compared. A table that the backup is too old for is passed over. What restored_schemas granted is
-- taken back.
DO $$
DECLARE
    loader pg_roles;
BEGIN
    IF to_regclass('access.session') IS NOT NULL THEN
        DELETE FROM access.session;
    END IF;
    IF to_regclass('crm.nurture_sequences') IS NOT NULL THEN
        UPDATE crm.nurture_sequences SET is_active = false WHERE is_active;
    END IF;
    IF to_regnamespace('crm') IS NOT NULL THEN
        REVOKE CREATE ON SCHEMA crm FROM crm_definer;
    END IF;
    SELECT r.* INTO loader
    FROM pg_namespace AS n JOIN pg_roles AS r ON r.oid = n.nspowner
    WHERE n.nspname = 'orchestration';
    IF EXISTS (SELECT FROM pg_namespace WHERE nspname = 'masked' AND nspowner <> loader.oid) THEN
        EXECUTE format('REVOKE CREATE ON SCHEMA masked FROM %I', loader.rolname);
    END IF;
END
$$;
CREATE SCHEMA restore_unfinished;
COMMENT ON SCHEMA restore_unfinished IS 'The restore into this database has not ended. It drops this schema at its end.';

-- Its views, functions and key can be made again; the roles may be in use elsewhere.
DROP SCHEMA masked CASCADE;
DROP TABLE identity.mask_key;

DO $$
DECLARE
    role_   text;
    schema_ text;
    mine    CONSTANT boolean := pg_has_role((SELECT datdba FROM pg_database WHERE datname = current_database()), 'USAGE');
BEGIN
    FOREACH role_ IN ARRAY ARRAY['warehouse_masking', 'warehouse_read', 'warehouse_read_masked'] LOOP
        CONTINUE WHEN to_regrole(role_) IS NULL;
        FOR schema_ IN SELECT nspname FROM pg_namespace
            WHERE nspname IN ('public', 'pipedesk', 'identity', 'marts', 'answers', 'crm', 'orchestration')
        LOOP
            EXECUTE format('REVOKE ALL ON ALL TABLES IN SCHEMA %I FROM %I', schema_, role_);
            EXECUTE format('REVOKE ALL ON SCHEMA %I FROM %I', schema_, role_);
        END LOOP;
        EXECUTE format('REVOKE ALL ON FUNCTION crm.session_context() FROM %I', role_);
        IF mine THEN
            EXECUTE format('REVOKE ALL ON DATABASE %I FROM %I', current_database(), role_);
        END IF;
        -- To try it would lock the role, and deadlock with a database of this cluster that migrates at the time.
        CONTINUE WHEN EXISTS (
            SELECT FROM pg_shdepend AS d JOIN pg_database AS b ON b.oid = d.dbid
            WHERE d.refclassid = 'pg_authid'::regclass AND d.refobjid = to_regrole(role_)
                AND b.datname <> current_database());
        BEGIN
            EXECUTE format('DROP ROLE IF EXISTS %I', role_);
        EXCEPTION WHEN dependent_objects_still_exist OR insufficient_privilege OR object_in_use THEN
            RAISE NOTICE 'The role % stays: something else of this cluster needs it.', role_;
        END;
    END LOOP;
END
$$;

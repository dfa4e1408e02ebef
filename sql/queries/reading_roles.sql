-- Makes the roles that are missing, and holds them until the end of the transaction: nobody can drop them meanwhile.
-- Two databases of a cluster may be migrated at a time, so each is tried again when another session was faster.
DO $$
DECLARE
    wanted text;
BEGIN
    FOREACH wanted IN ARRAY ARRAY['warehouse_masking', 'warehouse_read', 'warehouse_read_masked'] LOOP
        FOR attempt IN 1..50 LOOP
            BEGIN
                IF to_regrole(wanted) IS NULL THEN
                    EXECUTE format('CREATE ROLE %I NOLOGIN NOSUPERUSER NOBYPASSRLS', wanted);
                END IF;
                IF NOT has_schema_privilege(wanted, 'masked', 'USAGE') THEN
                    EXECUTE format('GRANT USAGE ON SCHEMA masked TO %I', wanted);
                END IF;
                EXIT;
            EXCEPTION WHEN duplicate_object OR unique_violation OR undefined_object OR internal_error THEN
                IF attempt = 50 THEN
                    RAISE;
                END IF;
                PERFORM pg_sleep(0.02);
            END;
        END LOOP;
    END LOOP;
    IF NOT pg_has_role('warehouse_masking', 'warehouse_read', 'USAGE') THEN
        GRANT warehouse_read TO warehouse_masking;
    END IF;
    IF NOT pg_has_role('warehouse_masking', 'USAGE') THEN
        GRANT warehouse_masking TO CURRENT_USER;
    END IF;
    -- `warehouse serve` runs as this user, and takes these roles for who asks it.
    IF NOT pg_has_role('warehouse_read_masked', 'USAGE') THEN
        GRANT warehouse_read_masked TO CURRENT_USER;
    END IF;
    IF NOT pg_has_role('crm_app', 'USAGE') THEN
        BEGIN
            GRANT crm_app TO CURRENT_USER;
        EXCEPTION WHEN insufficient_privilege THEN
            RAISE WARNING 'The API cannot serve leads: as an administrator, GRANT crm_app TO %.', CURRENT_USER;
        END;
    END IF;
END
$$

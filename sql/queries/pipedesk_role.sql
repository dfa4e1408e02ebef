-- Makes the role of PipeDesk's applications where it is missing, and holds it until the end of the transaction: nobody
-- can drop it meanwhile. Two databases of a cluster may be migrated at a time, so it is tried again when the other was
-- faster.
DO $$
BEGIN
    FOR attempt IN 1..50 LOOP
        BEGIN
            IF to_regrole('pipedesk_app') IS NULL THEN
                CREATE ROLE pipedesk_app NOLOGIN NOSUPERUSER NOBYPASSRLS;
            END IF;
            IF NOT has_schema_privilege('pipedesk_app', 'pipedesk', 'USAGE') THEN
                GRANT USAGE ON SCHEMA pipedesk TO pipedesk_app;
            END IF;
            EXIT;
        EXCEPTION WHEN duplicate_object OR unique_violation OR undefined_object OR internal_error THEN
            IF attempt = 50 THEN
                RAISE;
            END IF;
            PERFORM pg_sleep(0.02);
        END;
    END LOOP;
END
$$

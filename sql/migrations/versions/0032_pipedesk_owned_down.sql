-- Undo 0032, and what sql/schemas/pipedesk.sql made with it. In psql, to undo it although the log has entries:
-- SET warehouse.force_down = on;
DO $$
DECLARE
    one  record;
    mine CONSTANT text[] := '{current_user_id,may,is_application,touch,mark_deleted,track_interaction,follow_interaction,'
        'audit_deletion,refuse_edit_of_mirrored,refuse_takeover_of_owned,refuse_audit_change,refuse_other_user,'
        'soft_delete,restore,set_deleted,qualify_lead}';
BEGIN
    IF coalesce(nullif(current_setting('warehouse.force_down', true), ''), 'off')::boolean IS FALSE
        AND EXISTS (SELECT FROM pipedesk.audit_logs)
    THEN
        RAISE object_in_use USING
            MESSAGE = 'Undoing revision 0032_pipedesk_owned would delete who qualified, deleted and restored rows, and why.',
            HINT = 'Save pipedesk.audit_logs, or repeat with --force.';
    END IF;
    -- The next migration makes the views again, with what an application may read of them.
    FOR one IN SELECT c.relname FROM pg_class AS c WHERE c.relnamespace = 'pipedesk'::regnamespace AND c.relkind = 'v'
        AND (c.relname ~ '_active$' OR c.relname IN ('sales_view', 'leads_v', 'primary_contacts'))
    LOOP
        EXECUTE format('DROP VIEW pipedesk.%I', one.relname);
    END LOOP;
    DROP TABLE pipedesk.audit_logs;
    FOR one IN SELECT p.oid::regprocedure AS name FROM pg_proc AS p
        WHERE p.pronamespace = 'pipedesk'::regnamespace AND p.proname = ANY (mine)
    LOOP
        EXECUTE format('DROP FUNCTION %s CASCADE', one.name);  -- with triggers and policies
    END LOOP;
    FOR one IN SELECT c.oid::regclass AS name FROM pg_class AS c
        WHERE c.relnamespace = 'pipedesk'::regnamespace AND c.relkind IN ('r', 'p') AND c.relrowsecurity
    LOOP
        EXECUTE format('ALTER TABLE %s DISABLE ROW LEVEL SECURITY', one.name);
    END LOOP;
    FOR one IN SELECT c.oid::regclass AS name, c.relname FROM pg_class AS c
        WHERE c.relnamespace = 'pipedesk'::regnamespace AND c.relname IN ('leads', 'companies', 'contacts', 'master_deals')
    LOOP
        EXECUTE format('ALTER TABLE %s DROP COLUMN IF EXISTS deleted_by', one.name);
        IF one.relname <> 'leads' THEN
            EXECUTE format('ALTER TABLE %s ALTER COLUMN updated_at DROP DEFAULT', one.name);
        END IF;
    END LOOP;
END
$$;

DO $$
BEGIN
    IF to_regrole('pipedesk_app') IS NULL THEN
        RETURN;
    END IF;
    REVOKE ALL ON ALL TABLES IN SCHEMA pipedesk FROM pipedesk_app;
    REVOKE ALL ON SCHEMA pipedesk FROM pipedesk_app;
    -- To try it would lock the role, and deadlock with a database of this cluster that migrates at the time.
    IF NOT EXISTS (
        SELECT FROM pg_shdepend AS d JOIN pg_database AS b ON b.oid = d.dbid
        WHERE d.refclassid = 'pg_authid'::regclass AND d.refobjid = to_regrole('pipedesk_app')
            AND b.datname <> current_database())
    THEN
        BEGIN
            DROP ROLE IF EXISTS pipedesk_app;
        EXCEPTION WHEN dependent_objects_still_exist OR insufficient_privilege OR object_in_use THEN
            RAISE NOTICE 'The role pipedesk_app stays: something else of this cluster needs it.';
        END;
    END IF;
END
$$;
-- So that sql/schemas/pipedesk.sql runs again after the next upgrade.
COMMENT ON SCHEMA pipedesk IS NULL;

-- Removes the schema crm and its archive. Refuses while a table holds rows, unless forced:
--
--   SET warehouse.force_down = on;
--
-- The extensions stay, because others may use them, and so do roles that another database of the cluster uses.

-- Counted as the owner, from whom the policies are lifted first: who may not see rows must not take them for none.
-- ALTER TABLE also locks the table, so that none comes in after the count.
DO $$
DECLARE
    name  regclass;
    n     bigint;
    found text[] := '{}';
BEGIN
    SET LOCAL ROLE crm_owner;
    FOR name IN SELECT c.oid FROM pg_class AS c
        WHERE c.relnamespace IN ('crm'::regnamespace, 'crm_archive'::regnamespace) AND c.relkind IN ('r', 'p')
            AND NOT c.relispartition
        ORDER BY c.relnamespace, c.relname
    LOOP
        EXECUTE format('ALTER TABLE %s NO FORCE ROW LEVEL SECURITY', name);
        EXECUTE format('SELECT count(*) FROM %s', name) INTO n;
        IF n > 0 THEN
            found := found || format('%s (%s)', name, n);
        END IF;
    END LOOP;
    RESET ROLE;
    IF found <> '{}' AND coalesce(nullif(current_setting('warehouse.force_down', true), ''), 'off')::boolean IS FALSE
    THEN
        RAISE object_in_use USING
            MESSAGE = format('Undoing the migration 0003_crm: these tables hold rows: %s.',
                             array_to_string(found, ', ')),
            HINT = 'Back them up, then force it: warehouse migrate --down N --force';
    END IF;
END
$$;

DROP SCHEMA crm_archive CASCADE;

DROP VIEW crm.account_balances, crm.active_leads;
-- In reverse order of their references; triggers, indexes, policies and partitions go with them.
DROP TABLE crm.system_config, crm.lead_score_history, crm.lead_assignments, crm.budget_transactions,
    crm.lead_sequence_enrollments, crm.nurture_sequences, crm.lead_source_costs, crm.dnc_list,
    crm.lead_status_history, crm.lead_audit_log;
DROP FUNCTION IF EXISTS crm.lead_is_blocked(crm.leads, text), crm.list_leads(jsonb, integer, timestamptz),
    crm.score_factors(crm.leads, jsonb, jsonb);
DROP TABLE crm.segments, crm.leads;
DO $$
DECLARE
    left_over regprocedure;
BEGIN
    FOR left_over IN SELECT oid FROM pg_proc WHERE pronamespace = 'crm'::regnamespace LOOP
        EXECUTE format('DROP FUNCTION %s', left_over);
    END LOOP;
END
$$;
-- Without CASCADE: what somebody else put into the schema is not ours to drop.
DROP SCHEMA crm;

-- In the order in which the up migration takes them, or the two could wait for each other.
DO $$
DECLARE
    wanted text;
BEGIN
    FOREACH wanted IN ARRAY ARRAY['crm_owner', 'crm_definer', 'crm_app', 'crm_read'] LOOP
        -- 0005_crm_tenants makes the schema anew, and they may have members.
        EXIT WHEN coalesce(nullif(current_setting('warehouse.keep_roles', true), ''), 'off')::boolean;
        -- To try it would lock the role, and deadlock with a database of this cluster that migrates at the time.
        CONTINUE WHEN EXISTS (
            SELECT FROM pg_shdepend AS d JOIN pg_database AS b ON b.oid = d.dbid
            WHERE d.refclassid = 'pg_authid'::regclass AND d.refobjid = to_regrole(wanted)
                AND b.datname <> current_database());
        BEGIN
            EXECUTE format('DROP ROLE IF EXISTS %I', wanted);
        EXCEPTION WHEN dependent_objects_still_exist OR insufficient_privilege OR object_in_use THEN
            RAISE NOTICE 'The role % stays: something else of this cluster needs it.', wanted;
        END;
    END LOOP;
END
$$;

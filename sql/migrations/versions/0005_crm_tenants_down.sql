-- Removes what 0005_crm_tenants added to the schema crm. Refuses while a table holds rows, unless forced:
--
--   SET warehouse.force_down = on;
--
-- 0003_crm_down.sql and the parts of 0003_crm run next; the roles stay, with who is in them.

DO $$
DECLARE
    name  regclass;
    n     bigint;
    found text[] := '{}';
BEGIN
    SET LOCAL ROLE crm_owner;
    FOR name IN SELECT c.oid FROM pg_class AS c
        WHERE c.relnamespace IN ('crm'::regnamespace, 'crm_archive'::regnamespace) AND c.relkind IN ('r', 'p')
            AND NOT c.relispartition AND c.oid <> 'crm.dnc_reasons'::regclass
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
            MESSAGE = format('Undoing the migration 0005_crm_tenants: these tables hold rows: %s.',
                             array_to_string(found, ', ')),
            HINT = 'Back them up, then force it: warehouse migrate --down N --force';
    END IF;
END
$$;

SET LOCAL warehouse.keep_roles = on;

DROP FUNCTION IF EXISTS crm.list_leads(jsonb, integer, timestamptz, uuid), crm.lead_block_reason(crm.leads, text);
ALTER TABLE crm.dnc_list DROP CONSTRAINT dnc_list_reason;
DROP TABLE crm.dnc_reasons;
-- The policies of every table ask session_context, which asks organization_member: 0003_crm_down.sql drops all three.
DO $$
DECLARE
    p record;
BEGIN
    FOR p IN SELECT pol.polname, pol.polrelid::regclass AS of_table FROM pg_policy AS pol
        JOIN pg_class AS c ON c.oid = pol.polrelid
        WHERE c.relnamespace IN ('crm'::regnamespace, 'crm_archive'::regnamespace)
    LOOP
        EXECUTE format('DROP POLICY %I ON %s', p.polname, p.of_table);
    END LOOP;
    EXECUTE format('GRANT TEMPORARY ON DATABASE %I TO PUBLIC', current_database());
    -- crm_owner finds an operator class there when 0003_crm is done again.
    GRANT USAGE ON SCHEMA public TO PUBLIC;
END
$$;
DROP TABLE crm.organization_member;

-- Part 8 of 9: the months of lead_audit_log and lead_status_history. Both functions are safe to repeat; scheduled jobs
-- call them. They run as the owner, which row-level security binds too: where they move rows they lift it from the
-- one table, within their transaction, while nobody else can reach it.

-- Makes the partitions of the months from one day to another, and returns the names of those that are new. Rows of such
-- a month that had to go into the default partition move over. A month lasts from its first midnight in UTC.
CREATE FUNCTION crm.ensure_partitions(
    since date DEFAULT current_date, until date DEFAULT (current_date + interval '3 months')::date
) RETURNS SETOF text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' AS $$
DECLARE
    parent text;
    month  date;
    name   text;
    waits  boolean;
BEGIN
    FOREACH parent IN ARRAY ARRAY['lead_audit_log', 'lead_status_history'] LOOP
        FOR month IN SELECT generate_series(date_trunc('month', since), until, interval '1 month') LOOP
            name := parent || to_char(month, '_YYYY_MM');
            CONTINUE WHEN to_regclass('crm.' || name) IS NOT NULL;
            -- The other lock order than that of a writer, parent first, would be a deadlock.
            EXECUTE format('LOCK TABLE crm.%I IN ACCESS EXCLUSIVE MODE', parent);
            CONTINUE WHEN to_regclass('crm.' || name) IS NOT NULL;
            EXECUTE format('CREATE TABLE crm.%I (LIKE crm.%I INCLUDING DEFAULTS INCLUDING CONSTRAINTS)', name, parent);
            EXECUTE format('ALTER TABLE crm.%I NO FORCE ROW LEVEL SECURITY', parent || '_default');
            EXECUTE format('SELECT EXISTS (SELECT FROM crm.%I WHERE created_at >= %L AND created_at < %L)',
                           parent || '_default', month, month + interval '1 month') INTO waits;
            IF waits THEN
                EXECUTE format('WITH gone AS (DELETE FROM crm.%I WHERE created_at >= %L AND created_at < %L RETURNING *)
                                INSERT INTO crm.%I SELECT * FROM gone',
                               parent || '_default', month, month + interval '1 month', name);
            END IF;
            EXECUTE format('ALTER TABLE crm.%I FORCE ROW LEVEL SECURITY', parent || '_default');
            EXECUTE format('ALTER TABLE crm.%I ATTACH PARTITION crm.%I FOR VALUES FROM (%L) TO (%L)', parent, name,
                           month, month + interval '1 month');
            -- Without a policy: nobody reads a partition past its parent.
            EXECUTE format('ALTER TABLE crm.%I ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY', name);
            RETURN NEXT name;
        END LOOP;
    END LOOP;
END
$$;

-- Takes the months that ended longer ago than `keep` out of both tables and into the schema crm_archive, as they are,
-- and returns each with its rows. With twelve months nothing younger goes, and nothing that is older than
-- thirteen months stays (E-185). An application does not see the archive.
CREATE FUNCTION crm.archive_partitions(keep interval DEFAULT interval '12 months')
RETURNS TABLE (partition text, archived_rows bigint)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' AS $$
DECLARE
    parent text;
    month  date;
    late   date[];
    cutoff CONSTANT date := date_trunc('month', now()) - keep;
BEGIN
    IF keep < interval '1 month' THEN
        RAISE invalid_parameter_value USING MESSAGE = 'Archiving partitions: at least one month must be kept.';
    END IF;
    FOREACH parent IN ARRAY ARRAY['lead_audit_log', 'lead_status_history'] LOOP
        EXECUTE format('LOCK TABLE crm.%I IN ACCESS EXCLUSIVE MODE', parent);
        -- Old rows in the default partition get their month first.
        EXECUTE format('ALTER TABLE crm.%I NO FORCE ROW LEVEL SECURITY', parent || '_default');
        EXECUTE format('SELECT coalesce(array_agg(DISTINCT date_trunc(''month'', created_at)::date), ''{}'')
                        FROM crm.%I WHERE created_at < %L', parent || '_default', cutoff) INTO late;
        EXECUTE format('ALTER TABLE crm.%I FORCE ROW LEVEL SECURITY', parent || '_default');
        FOREACH month IN ARRAY late LOOP
            PERFORM crm.ensure_partitions(month, month);
        END LOOP;
        FOR partition IN
            SELECT c.relname FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid
            WHERE i.inhparent = ('crm.' || parent)::regclass AND c.relname ~ '_[0-9]{4}_[0-9]{2}$'
                AND to_date(right(c.relname, 7), 'YYYY_MM') + interval '1 month' <= cutoff
            ORDER BY c.relname
        LOOP
            EXECUTE format('ALTER TABLE crm.%I DETACH PARTITION crm.%I', parent, partition);
            EXECUTE format('ALTER TABLE crm.%I NO FORCE ROW LEVEL SECURITY', partition);
            EXECUTE format('SELECT count(*) FROM crm.%I', partition) INTO archived_rows;
            IF to_regclass('crm_archive.' || partition) IS NULL THEN
                EXECUTE format('ALTER TABLE crm.%I SET SCHEMA crm_archive', partition);
                EXECUTE format('GRANT SELECT, UPDATE ON crm_archive.%I TO crm_definer', partition);
                EXECUTE format('CREATE POLICY definer ON crm_archive.%I TO crm_definer USING (true)', partition);
                EXECUTE format('CREATE POLICY organization ON crm_archive.%I USING (organization_id =
                    (SELECT nullif(current_setting(''app.organization_id'', true), '''')::uuid))', partition);
            ELSE
                -- Rows of a month that was archived before: they came late.
                EXECUTE format('ALTER TABLE crm_archive.%I NO FORCE ROW LEVEL SECURITY', partition);
                EXECUTE format('INSERT INTO crm_archive.%1$I SELECT * FROM crm.%1$I', partition);
                EXECUTE format('DROP TABLE crm.%I', partition);
            END IF;
            EXECUTE format('ALTER TABLE crm_archive.%I FORCE ROW LEVEL SECURITY', partition);
            RETURN NEXT;
        END LOOP;
    END LOOP;
END
$$;

CREATE TABLE crm.lead_audit_log_default PARTITION OF crm.lead_audit_log DEFAULT;
CREATE TABLE crm.lead_status_history_default PARTITION OF crm.lead_status_history DEFAULT;
ALTER TABLE crm.lead_audit_log_default ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE crm.lead_status_history_default ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
DO $$ BEGIN PERFORM crm.ensure_partitions(); END $$;

RESET ROLE;

CREATE SCHEMA crm_archive AUTHORIZATION crm_owner;
GRANT USAGE ON SCHEMA crm_archive TO crm_definer;

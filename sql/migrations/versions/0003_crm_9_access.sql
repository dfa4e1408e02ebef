-- Part 9 of 9: who may do what, and row-level security.
--
-- A policy compares the organization with the session's setting, inside a SELECT, so that the setting is read once per
-- statement (E-144). Without the setting it is null, and no row is visible; one that is no uuid fails the statement.

SET LOCAL ROLE crm_owner;

ALTER TABLE crm.leads ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE crm.lead_audit_log ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE crm.lead_status_history ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE crm.dnc_list ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE crm.lead_source_costs ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE crm.nurture_sequences ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE crm.lead_sequence_enrollments ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE crm.segments ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE crm.budget_transactions ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE crm.lead_assignments ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE crm.lead_score_history ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE crm.system_config ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;

CREATE POLICY organization ON crm.leads
    USING (organization_id = (SELECT nullif(current_setting('app.organization_id', true), '')::uuid))
    WITH CHECK (organization_id = (SELECT nullif(current_setting('app.organization_id', true), '')::uuid));
CREATE POLICY organization ON crm.lead_audit_log
    USING (organization_id = (SELECT nullif(current_setting('app.organization_id', true), '')::uuid))
    WITH CHECK (organization_id = (SELECT nullif(current_setting('app.organization_id', true), '')::uuid));
CREATE POLICY organization ON crm.lead_status_history
    USING (organization_id = (SELECT nullif(current_setting('app.organization_id', true), '')::uuid))
    WITH CHECK (organization_id = (SELECT nullif(current_setting('app.organization_id', true), '')::uuid));
CREATE POLICY organization ON crm.dnc_list
    USING (organization_id = (SELECT nullif(current_setting('app.organization_id', true), '')::uuid))
    WITH CHECK (organization_id = (SELECT nullif(current_setting('app.organization_id', true), '')::uuid));
CREATE POLICY organization ON crm.lead_source_costs
    USING (organization_id = (SELECT nullif(current_setting('app.organization_id', true), '')::uuid))
    WITH CHECK (organization_id = (SELECT nullif(current_setting('app.organization_id', true), '')::uuid));
CREATE POLICY organization ON crm.nurture_sequences
    USING (organization_id = (SELECT nullif(current_setting('app.organization_id', true), '')::uuid))
    WITH CHECK (organization_id = (SELECT nullif(current_setting('app.organization_id', true), '')::uuid));
CREATE POLICY organization ON crm.lead_sequence_enrollments
    USING (organization_id = (SELECT nullif(current_setting('app.organization_id', true), '')::uuid))
    WITH CHECK (organization_id = (SELECT nullif(current_setting('app.organization_id', true), '')::uuid));
CREATE POLICY organization ON crm.budget_transactions
    USING (organization_id = (SELECT nullif(current_setting('app.organization_id', true), '')::uuid))
    WITH CHECK (organization_id = (SELECT nullif(current_setting('app.organization_id', true), '')::uuid));
CREATE POLICY organization ON crm.lead_assignments
    USING (organization_id = (SELECT nullif(current_setting('app.organization_id', true), '')::uuid))
    WITH CHECK (organization_id = (SELECT nullif(current_setting('app.organization_id', true), '')::uuid));
CREATE POLICY organization ON crm.lead_score_history
    USING (organization_id = (SELECT nullif(current_setting('app.organization_id', true), '')::uuid))
    WITH CHECK (organization_id = (SELECT nullif(current_setting('app.organization_id', true), '')::uuid));
-- A private segment is its creator's.
CREATE POLICY organization ON crm.segments
    USING (organization_id = (SELECT nullif(current_setting('app.organization_id', true), '')::uuid)
           AND (is_public OR created_by = (SELECT nullif(current_setting('app.user_id', true), '')::uuid)))
    WITH CHECK (organization_id = (SELECT nullif(current_setting('app.organization_id', true), '')::uuid)
                AND (is_public OR created_by = (SELECT nullif(current_setting('app.user_id', true), '')::uuid)));
-- The key of the hashes of erased numbers is nobody's to read or replace.
CREATE POLICY organization ON crm.system_config
    USING (organization_id = (SELECT nullif(current_setting('app.organization_id', true), '')::uuid)
           AND key <> 'dnc.hash_key')
    WITH CHECK (organization_id = (SELECT nullif(current_setting('app.organization_id', true), '')::uuid)
                AND key <> 'dnc.hash_key');

-- What the SECURITY DEFINER functions reach, of any organization; each checks the organization itself.
CREATE POLICY definer ON crm.leads TO crm_definer USING (true) WITH CHECK (true);
CREATE POLICY definer ON crm.lead_audit_log TO crm_definer USING (true) WITH CHECK (true);
CREATE POLICY definer ON crm.lead_status_history TO crm_definer USING (true) WITH CHECK (true);
CREATE POLICY definer ON crm.dnc_list TO crm_definer USING (true) WITH CHECK (true);
CREATE POLICY definer ON crm.lead_sequence_enrollments TO crm_definer USING (true) WITH CHECK (true);
CREATE POLICY definer ON crm.budget_transactions FOR SELECT TO crm_definer USING (true);
CREATE POLICY definer ON crm.segments TO crm_definer USING (true) WITH CHECK (true);
CREATE POLICY definer ON crm.lead_assignments TO crm_definer USING (true) WITH CHECK (true);
CREATE POLICY definer ON crm.system_config TO crm_definer USING (true) WITH CHECK (true);
GRANT SELECT, UPDATE ON crm.leads, crm.dnc_list, crm.lead_sequence_enrollments, crm.segments TO crm_definer;
-- Maintenance lists the organizations as crm_definer, those that have a ledger and no lead included.
GRANT SELECT ON crm.budget_transactions TO crm_definer;
GRANT SELECT, INSERT ON crm.lead_audit_log, crm.lead_status_history, crm.lead_assignments, crm.system_config
    TO crm_definer;
GRANT UPDATE (old_value, new_value) ON crm.lead_audit_log TO crm_definer;
GRANT UPDATE (context) ON crm.lead_assignments TO crm_definer;

-- The application writes the logs by what it does, and never directly. The ledger it only adds to.
GRANT SELECT ON ALL TABLES IN SCHEMA crm TO crm_app, crm_read;
GRANT INSERT, UPDATE, DELETE ON crm.leads, crm.dnc_list, crm.lead_source_costs, crm.nurture_sequences,
    crm.lead_sequence_enrollments, crm.segments, crm.system_config TO crm_app;
GRANT INSERT ON crm.budget_transactions, crm.lead_score_history TO crm_app;
-- A partition is reached through its table alone.
DO $$
DECLARE
    partition regclass;
BEGIN
    FOR partition IN SELECT c.oid FROM pg_class AS c WHERE c.relnamespace = 'crm'::regnamespace AND c.relispartition
        AND c.relkind = 'r' LOOP
        EXECUTE format('REVOKE ALL ON %s FROM crm_app, crm_read', partition);
    END LOOP;
END
$$;
-- The owner too. Of UPDATE it keeps one column, because the foreign key of paired_entry_id locks the row as the owner;
-- the trigger refuses that as well.
REVOKE UPDATE, DELETE, TRUNCATE ON crm.budget_transactions FROM crm_owner;
GRANT UPDATE (paired_entry_id) ON crm.budget_transactions TO crm_owner;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA crm FROM PUBLIC;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA crm TO crm_app;
REVOKE EXECUTE ON FUNCTION crm.ensure_partitions(date, date), crm.archive_partitions(interval) FROM crm_app;
GRANT EXECUTE ON FUNCTION crm.normalize_phone(text), crm.is_on_dnc_list(text, uuid), crm.evaluate_filter(jsonb),
    crm.list_leads(jsonb, integer, timestamptz), crm.evaluate_segment(uuid), crm.funnel(timestamptz, timestamptz),
    crm.source_roi(date, date), crm.segment_condition(jsonb, text[]) TO crm_read;
GRANT EXECUTE ON FUNCTION crm.normalize_phone(text), crm.segment_condition(jsonb, text[]), crm.utc_time(text),
    crm.is_utc_time(text), crm.like_literal(text), crm.is_iana_timezone(text), crm.is_consent(jsonb),
    crm.next_statuses(text), crm.audited(jsonb), crm.phone_tail_hash(text, bytea) TO crm_definer;

-- To own a function in a schema a role must be allowed to create in it, at that moment.
GRANT CREATE ON SCHEMA crm TO crm_definer;
RESET ROLE;
ALTER FUNCTION crm.is_on_dnc_list(text, uuid) OWNER TO crm_definer;
ALTER FUNCTION crm.erase_lead(uuid) OWNER TO crm_definer;
ALTER FUNCTION crm.evaluate_filter(jsonb) OWNER TO crm_definer;
ALTER FUNCTION crm.list_leads(jsonb, integer, timestamptz) OWNER TO crm_definer;
ALTER FUNCTION crm.record_new_leads() OWNER TO crm_definer;
ALTER FUNCTION crm.record_changed_leads() OWNER TO crm_definer;
ALTER FUNCTION crm.record_deleted_leads() OWNER TO crm_definer;
SET LOCAL ROLE crm_owner;
REVOKE CREATE ON SCHEMA crm FROM crm_definer;
RESET ROLE;

-- Part 4 of 9: what happens by itself when rows are written.
--
-- Who acts is told by settings of the session, each a text; empty or absent means nobody:
--
--   app.organization_id  the tenant; without it row-level security shows nothing
--   app.user_id          uuid of the user
--   app.client_ip        address of the user, not of the application
--   app.triggered_by     what caused a change of status, such as import or sequence; else `user`, or `system`
--                        when there is no user
--
-- Behind a pooler that gives a connection to another client after each transaction, they must end with the
-- transaction. In one transaction, before anything else:
--
--   BEGIN;
--   SELECT set_config('app.organization_id', $1, true), set_config('app.user_id', $2, true),
--          set_config('app.client_ip', $3, true);
--   ...
--   COMMIT;
--
-- The third argument makes it SET LOCAL, and set_config takes parameters where SET does not. Never SET without LOCAL,
-- and never outside a transaction: the next client of the connection would be the last one's tenant.

CREATE FUNCTION crm.touch_updated_at() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    NEW.updated_at := now();
    RETURN NEW;
END
$$;

CREATE TRIGGER touch BEFORE UPDATE ON crm.nurture_sequences
    FOR EACH ROW EXECUTE FUNCTION crm.touch_updated_at();
CREATE TRIGGER touch BEFORE UPDATE ON crm.segments
    FOR EACH ROW EXECUTE FUNCTION crm.touch_updated_at();
CREATE TRIGGER touch BEFORE UPDATE ON crm.system_config
    FOR EACH ROW EXECUTE FUNCTION crm.touch_updated_at();
CREATE TRIGGER touch BEFORE UPDATE ON crm.lead_sequence_enrollments
    FOR EACH ROW EXECUTE FUNCTION crm.touch_updated_at();
CREATE TRIGGER touch BEFORE UPDATE ON crm.lead_source_costs
    FOR EACH ROW EXECUTE FUNCTION crm.touch_updated_at();

-- Which status may follow which. A new lead may have any: imports bring their past with them.
-- won is left only when the sale is called off, lost when the person comes back, disqualified when that was a mistake.
CREATE FUNCTION crm.next_statuses(status text) RETURNS text[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE status
        WHEN 'new' THEN '{contacted,qualified,appointment_set,nurturing,lost,disqualified}'
        WHEN 'contacted' THEN '{qualified,appointment_set,nurturing,lost,disqualified}'
        WHEN 'qualified' THEN '{appointment_set,proposal,nurturing,lost,disqualified}'
        WHEN 'appointment_set' THEN '{qualified,proposal,nurturing,won,lost,disqualified}'
        WHEN 'proposal' THEN '{appointment_set,nurturing,won,lost,disqualified}'
        WHEN 'nurturing' THEN '{contacted,qualified,appointment_set,proposal,lost,disqualified}'
        WHEN 'won' THEN '{lost}'
        WHEN 'lost' THEN '{contacted,nurturing}'
        WHEN 'disqualified' THEN '{contacted}'
    END::text[]
$$;

CREATE FUNCTION crm.check_lead_change() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        IF NEW.erased_at IS NOT NULL THEN
            RAISE check_violation USING MESSAGE = 'Adding a lead with erased_at: only crm.erase_lead sets it.';
        END IF;
        RETURN NEW;
    END IF;
    IF (NEW.id, NEW.organization_id, NEW.created_at) IS DISTINCT FROM (OLD.id, OLD.organization_id, OLD.created_at) THEN
        RAISE check_violation USING
            MESSAGE = format('Changing lead %s: id, organization_id and created_at never change.', OLD.id),
            HINT = 'Add a new lead instead.';
    END IF;
    IF NEW.erased_at IS DISTINCT FROM OLD.erased_at AND current_user <> 'crm_definer' THEN
        RAISE check_violation USING MESSAGE = format('Changing lead %s: only crm.erase_lead sets erased_at.', OLD.id);
    END IF;
    IF OLD.erased_at IS NOT NULL AND current_user <> 'crm_definer' THEN
        RAISE check_violation USING
            MESSAGE = format('Changing lead %s: it was erased, and stays as it is.', OLD.id),
            HINT = 'Add a new lead if the person has come back.';
    END IF;
    NEW.status_changed_at := OLD.status_changed_at;
    IF NEW.status <> OLD.status THEN
        IF NEW.status <> ALL (crm.next_statuses(OLD.status)) AND crm.next_statuses(NEW.status) IS NOT NULL THEN
            RAISE check_violation USING
                MESSAGE = format('Changing the status of lead %s: from %s to %s is no allowed transition.',
                                 OLD.id, OLD.status, NEW.status),
                HINT = format('After %s may come: %s.', OLD.status,
                              array_to_string(crm.next_statuses(OLD.status), ', ')),
                CONSTRAINT = 'leads_status_transition';
        END IF;
        -- Not now(): two changes in one transaction take time too.
        NEW.status_changed_at := clock_timestamp();
    END IF;
    NEW.updated_at := now();
    RETURN NEW;
END
$$;
CREATE TRIGGER check_change BEFORE UPDATE ON crm.leads
    FOR EACH ROW EXECUTE FUNCTION crm.check_lead_change();
CREATE TRIGGER check_insert BEFORE INSERT ON crm.leads
    FOR EACH ROW WHEN (NEW.erased_at IS NOT NULL) EXECUTE FUNCTION crm.check_lead_change();

-- What the log says of a lead: every column but its key and its clocks.
CREATE FUNCTION crm.audited(lead jsonb) RETURNS jsonb
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT lead - '{id,organization_id,created_at,updated_at,status_changed_at}'::text[]
$$;

-- The next three write the audit log, the history of statuses and the assignments: once per statement and not per
-- row, as crm_definer, because the application may not write these tables (that is part 9).
CREATE FUNCTION crm.record_new_leads() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    by_user CONSTANT uuid := nullif(current_setting('app.user_id', true), '')::uuid;
    from_ip CONSTANT inet := nullif(current_setting('app.client_ip', true), '')::inet;
BEGIN
    INSERT INTO crm.lead_audit_log
            (organization_id, lead_id, action, field_name, new_value, changed_by, ip_address, created_at)
        SELECT n.organization_id, n.id, 'create', f.key, f.value, by_user, from_ip, clock_timestamp()
        FROM new_rows AS n, jsonb_each_text(crm.audited(to_jsonb(n))) AS f
        WHERE f.value IS NOT NULL AND f.value NOT IN ('{}', '[]');
    INSERT INTO crm.lead_status_history (organization_id, lead_id, to_status, triggered_by, changed_by, created_at)
        SELECT n.organization_id, n.id, n.status, coalesce(nullif(current_setting('app.triggered_by', true), ''),
            CASE WHEN by_user IS NULL THEN 'system' ELSE 'user' END), by_user, clock_timestamp()
        FROM new_rows AS n;
    INSERT INTO crm.lead_assignments (organization_id, lead_id, to_user_id, strategy)
        SELECT n.organization_id, n.id, n.owner_id, 'manual' FROM new_rows AS n WHERE n.owner_id IS NOT NULL;
    RETURN NULL;
END
$$;
CREATE TRIGGER record_insert AFTER INSERT ON crm.leads REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION crm.record_new_leads();

CREATE FUNCTION crm.record_changed_leads() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    by_user CONSTANT uuid := nullif(current_setting('app.user_id', true), '')::uuid;
    from_ip CONSTANT inet := nullif(current_setting('app.client_ip', true), '')::inet;
    -- crm.assign_lead says here how it chose; see part 6.
    chosen  CONSTANT jsonb := coalesce(nullif(current_setting('crm.assignment', true), ''), '{}')::jsonb;
BEGIN
    INSERT INTO crm.lead_audit_log
            (organization_id, lead_id, action, field_name, old_value, new_value, changed_by, ip_address, created_at)
        SELECT n.organization_id, n.id, 'update', f.key, o.fields ->> f.key, f.value, by_user, from_ip,
               clock_timestamp()
        FROM new_rows AS n
            JOIN (SELECT id, erased_at, crm.audited(to_jsonb(old_rows)) AS fields FROM old_rows) AS o USING (id),
            jsonb_each_text(crm.audited(to_jsonb(n))) AS f
        WHERE f.value IS DISTINCT FROM o.fields ->> f.key
            AND (n.erased_at IS NULL OR o.erased_at IS NOT NULL)
        UNION ALL
        -- Of an erasure the log says that it happened, and not what was there before.
        SELECT n.organization_id, n.id, 'erase', NULL, NULL, NULL, by_user, from_ip, clock_timestamp()
        FROM new_rows AS n JOIN old_rows AS o USING (id)
        WHERE n.erased_at IS NOT NULL AND o.erased_at IS NULL;
    INSERT INTO crm.lead_status_history
            (organization_id, lead_id, from_status, to_status, triggered_by, changed_by, time_in_previous, created_at)
        SELECT n.organization_id, n.id, o.status, n.status, coalesce(nullif(current_setting('app.triggered_by', true),
            ''), CASE WHEN by_user IS NULL THEN 'system' ELSE 'user' END), by_user,
            n.status_changed_at - o.status_changed_at, n.status_changed_at
        FROM new_rows AS n JOIN old_rows AS o USING (id)
        WHERE n.status <> o.status;
    INSERT INTO crm.lead_assignments (organization_id, lead_id, from_user_id, to_user_id, strategy, context)
        SELECT n.organization_id, n.id, o.owner_id, n.owner_id, coalesce(chosen ->> 'strategy', 'manual'),
               coalesce(chosen -> 'context', '{}')
        FROM new_rows AS n JOIN old_rows AS o USING (id)
        WHERE n.owner_id IS DISTINCT FROM o.owner_id;
    RETURN NULL;
END
$$;
CREATE TRIGGER record_update AFTER UPDATE ON crm.leads REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION crm.record_changed_leads();

CREATE FUNCTION crm.record_deleted_leads() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO crm.lead_audit_log
            (organization_id, lead_id, action, field_name, old_value, changed_by, ip_address, created_at)
        SELECT o.organization_id, o.id, 'delete', f.key, f.value,
               nullif(current_setting('app.user_id', true), '')::uuid,
               nullif(current_setting('app.client_ip', true), '')::inet, clock_timestamp()
        FROM old_rows AS o, jsonb_each_text(crm.audited(to_jsonb(o))) AS f
        WHERE f.value IS NOT NULL AND f.value NOT IN ('{}', '[]');
    RETURN NULL;
END
$$;
CREATE TRIGGER record_delete AFTER DELETE ON crm.leads REFERENCING OLD TABLE AS old_rows
    FOR EACH STATEMENT EXECUTE FUNCTION crm.record_deleted_leads();

CREATE FUNCTION crm.refuse_truncate() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    RAISE insufficient_privilege USING
        MESSAGE = format('Truncating %I.%I: its rows would go without a trace.', TG_TABLE_SCHEMA, TG_TABLE_NAME),
        HINT = 'Use DELETE.';
END
$$;
CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON crm.leads
    FOR EACH STATEMENT EXECUTE FUNCTION crm.refuse_truncate();

-- The ledger. One account, one writer at a time, until that writer's transaction has ended.
CREATE FUNCTION crm.chain_budget_transaction() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog AS $$
DECLARE
    before crm.budget_transactions;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('crm.budget_transactions:' || NEW.account_id, 0));
    SELECT * INTO before FROM crm.budget_transactions
        WHERE account_id = NEW.account_id ORDER BY entry_no DESC LIMIT 1;
    IF before.organization_id <> NEW.organization_id THEN
        RAISE check_violation USING
            MESSAGE = format('Adding an entry to account %s: it belongs to another organization.', NEW.account_id);
    END IF;
    NEW.entry_no := coalesce(before.entry_no, 0) + 1;
    NEW.balance_before_usd := coalesce(before.balance_after_usd, 0);
    NEW.balance_after_usd := NEW.balance_before_usd + NEW.amount_usd;
    -- Strictly later than the entry before, even when the clock was set back: E-113 sorts by it.
    NEW.created_at := greatest(clock_timestamp(), before.created_at + interval '1 microsecond');
    RETURN NEW;
END
$$;
CREATE TRIGGER chain BEFORE INSERT ON crm.budget_transactions
    FOR EACH ROW EXECUTE FUNCTION crm.chain_budget_transaction();

-- Per statement, so that it holds for an empty table too, and for the owner, who has every privilege.
CREATE FUNCTION crm.refuse_ledger_change() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    RAISE insufficient_privilege USING
        MESSAGE = format('%s on crm.budget_transactions: entries of the ledger never change.', TG_OP),
        HINT = 'Add an entry that corrects it, with paired_entry_id.';
END
$$;
CREATE TRIGGER refuse_change BEFORE UPDATE OR DELETE OR TRUNCATE ON crm.budget_transactions
    FOR EACH STATEMENT EXECUTE FUNCTION crm.refuse_ledger_change();
-- Also when session_replication_role is replica.
ALTER TABLE crm.budget_transactions ENABLE ALWAYS TRIGGER refuse_change;

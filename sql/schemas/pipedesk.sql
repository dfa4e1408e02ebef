-- PipeDesk: calendars, files and the CRM, mirrored from where they are kept; with tables and rows of our own.
--
-- This is what the rows of the entities cannot say of their tables. It can be run again. What it binds are rows of our
-- own, which have no sync_hash: a mirrored row is the truth of its vendor, judged by the rules of its entity, and never
-- refused here. So a name may move from one tag to another within a batch, and a vendor may have a role that we lack.
-- Foreign keys are NOT VALID for the same reason: loads come in any order and past them, and what is there already
-- may hold what they would refuse, in a dump that is restored as well.

-- The ids are always generated: one that somebody chose would refuse a mirrored row that gets it later.
-- updated_at has no default: it is Google's clock, by which only newer wins, and ours is ahead of it.
ALTER TABLE pipedesk.calendar_events
    ADD COLUMN IF NOT EXISTS id bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
    ALTER COLUMN calendar_id SET DEFAULT 'primary',
    ALTER COLUMN created_at SET DEFAULT now(),
    ALTER COLUMN raw_data SET DEFAULT '{}',
    DROP CONSTRAINT IF EXISTS calendar_events_status_known,
    ADD CONSTRAINT calendar_events_status_known
        CHECK (sync_hash IS NOT NULL OR status IN ('confirmed', 'tentative', 'cancelled'));

ALTER TABLE pipedesk.drive_files
    ADD COLUMN IF NOT EXISTS id bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
    ALTER COLUMN created_at SET DEFAULT now(),
    ALTER COLUMN raw_data SET DEFAULT '{}';

ALTER TABLE pipedesk.google_drive_folders
    ADD COLUMN IF NOT EXISTS id bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
    ALTER COLUMN created_at SET DEFAULT now(),
    ALTER COLUMN raw_data SET DEFAULT '{}',
    DROP CONSTRAINT IF EXISTS google_drive_folders_entity_type_known,
    ADD CONSTRAINT google_drive_folders_entity_type_known
        CHECK (sync_hash IS NOT NULL OR entity_type IN ('company', 'lead', 'deal', 'contact'));

ALTER TABLE pipedesk.drive_folder_links
    ALTER COLUMN created_at SET DEFAULT now(),
    ALTER COLUMN raw_data SET DEFAULT '{}';

ALTER TABLE pipedesk.companies
    ADD COLUMN IF NOT EXISTS deleted_by text,
    ALTER COLUMN id SET DEFAULT gen_random_uuid(),
    ALTER COLUMN updated_at SET DEFAULT now(),
    ALTER COLUMN raw_data SET DEFAULT '{}';

-- The id is the one that signed up, so it has no default.
ALTER TABLE pipedesk.users
    ALTER COLUMN raw_data SET DEFAULT '{}';

ALTER TABLE pipedesk.contacts
    ADD COLUMN IF NOT EXISTS deleted_by text,
    ALTER COLUMN id SET DEFAULT gen_random_uuid(),
    ALTER COLUMN updated_at SET DEFAULT now(),
    ALTER COLUMN raw_data SET DEFAULT '{}';

ALTER TABLE pipedesk.lead_statuses
    ALTER COLUMN id SET DEFAULT gen_random_uuid(),
    ALTER COLUMN is_active SET DEFAULT true,
    ALTER COLUMN sort_order SET DEFAULT 0,
    ALTER COLUMN created_at SET DEFAULT now(),
    ALTER COLUMN raw_data SET DEFAULT '{}',
    DROP CONSTRAINT IF EXISTS lead_statuses_is_named,
    ADD CONSTRAINT lead_statuses_is_named
        CHECK (sync_hash IS NOT NULL OR code IS NOT NULL AND label IS NOT NULL);
CREATE UNIQUE INDEX IF NOT EXISTS idx_lead_statuses_code ON pipedesk.lead_statuses (code) WHERE sync_hash IS NULL;

ALTER TABLE pipedesk.lead_origins
    ALTER COLUMN id SET DEFAULT gen_random_uuid(),
    ALTER COLUMN is_active SET DEFAULT true,
    ALTER COLUMN sort_order SET DEFAULT 0,
    ALTER COLUMN created_at SET DEFAULT now(),
    ALTER COLUMN raw_data SET DEFAULT '{}',
    DROP CONSTRAINT IF EXISTS lead_origins_is_named,
    ADD CONSTRAINT lead_origins_is_named
        CHECK (sync_hash IS NOT NULL OR code IS NOT NULL AND label IS NOT NULL);
CREATE UNIQUE INDEX IF NOT EXISTS idx_lead_origins_code ON pipedesk.lead_origins (code) WHERE sync_hash IS NULL;

ALTER TABLE pipedesk.tags
    ALTER COLUMN id SET DEFAULT gen_random_uuid(),
    ALTER COLUMN raw_data SET DEFAULT '{}';
CREATE UNIQUE INDEX IF NOT EXISTS idx_tags_name ON pipedesk.tags (name) WHERE sync_hash IS NULL;

ALTER TABLE pipedesk.master_deals
    ADD COLUMN IF NOT EXISTS deleted_by text,
    ALTER COLUMN id SET DEFAULT gen_random_uuid(),
    ALTER COLUMN updated_at SET DEFAULT now(),
    ALTER COLUMN raw_data SET DEFAULT '{}',
    DROP CONSTRAINT IF EXISTS master_deals_company_id_fkey,
    ADD CONSTRAINT master_deals_company_id_fkey
        FOREIGN KEY (company_id) REFERENCES pipedesk.companies NOT VALID;

ALTER TABLE pipedesk.leads
    ADD COLUMN IF NOT EXISTS deleted_by text,
    ALTER COLUMN id SET DEFAULT gen_random_uuid(),
    ALTER COLUMN priority_score SET DEFAULT 0,
    ALTER COLUMN created_at SET DEFAULT now(),
    ALTER COLUMN updated_at SET DEFAULT now(),
    ALTER COLUMN raw_data SET DEFAULT '{}',
    DROP CONSTRAINT IF EXISTS leads_lead_status_id_fkey,
    ADD CONSTRAINT leads_lead_status_id_fkey
        FOREIGN KEY (lead_status_id) REFERENCES pipedesk.lead_statuses NOT VALID,
    DROP CONSTRAINT IF EXISTS leads_lead_origin_id_fkey,
    ADD CONSTRAINT leads_lead_origin_id_fkey
        FOREIGN KEY (lead_origin_id) REFERENCES pipedesk.lead_origins NOT VALID,
    DROP CONSTRAINT IF EXISTS leads_owner_user_id_fkey,
    ADD CONSTRAINT leads_owner_user_id_fkey
        FOREIGN KEY (owner_user_id) REFERENCES pipedesk.users NOT VALID,
    DROP CONSTRAINT IF EXISTS leads_qualified_company_id_fkey,
    ADD CONSTRAINT leads_qualified_company_id_fkey
        FOREIGN KEY (qualified_company_id) REFERENCES pipedesk.companies NOT VALID,
    DROP CONSTRAINT IF EXISTS leads_qualified_master_deal_id_fkey,
    ADD CONSTRAINT leads_qualified_master_deal_id_fkey
        FOREIGN KEY (qualified_master_deal_id) REFERENCES pipedesk.master_deals NOT VALID;

ALTER TABLE pipedesk.lead_contacts
    ALTER COLUMN is_primary SET DEFAULT false,
    ALTER COLUMN added_at SET DEFAULT now(),
    ALTER COLUMN raw_data SET DEFAULT '{}',
    DROP CONSTRAINT IF EXISTS lead_contacts_lead_id_fkey,
    ADD CONSTRAINT lead_contacts_lead_id_fkey FOREIGN KEY (lead_id) REFERENCES pipedesk.leads NOT VALID,
    DROP CONSTRAINT IF EXISTS lead_contacts_contact_id_fkey,
    ADD CONSTRAINT lead_contacts_contact_id_fkey FOREIGN KEY (contact_id) REFERENCES pipedesk.contacts NOT VALID;
CREATE UNIQUE INDEX IF NOT EXISTS idx_lead_contacts_primary ON pipedesk.lead_contacts (lead_id)
    WHERE is_primary AND sync_hash IS NULL;

ALTER TABLE pipedesk.lead_tags
    ALTER COLUMN raw_data SET DEFAULT '{}',
    DROP CONSTRAINT IF EXISTS lead_tags_lead_id_fkey,
    ADD CONSTRAINT lead_tags_lead_id_fkey FOREIGN KEY (lead_id) REFERENCES pipedesk.leads NOT VALID,
    DROP CONSTRAINT IF EXISTS lead_tags_tag_id_fkey,
    ADD CONSTRAINT lead_tags_tag_id_fkey FOREIGN KEY (tag_id) REFERENCES pipedesk.tags NOT VALID;

ALTER TABLE pipedesk.lead_activity_stats
    ALTER COLUMN engagement_score SET DEFAULT 0,
    ALTER COLUMN total_emails SET DEFAULT 0,
    ALTER COLUMN total_events SET DEFAULT 0,
    ALTER COLUMN total_interactions SET DEFAULT 0,
    ALTER COLUMN created_at SET DEFAULT now(),
    ALTER COLUMN updated_at SET DEFAULT now(),
    ALTER COLUMN raw_data SET DEFAULT '{}',
    DROP CONSTRAINT IF EXISTS lead_activity_stats_lead_id_fkey,
    ADD CONSTRAINT lead_activity_stats_lead_id_fkey FOREIGN KEY (lead_id) REFERENCES pipedesk.leads NOT VALID;

-- Ids of owned roles are negative: PipeDesk counts its own from 1.
DO $$
DECLARE
    counted CONSTANT regclass := pg_get_serial_sequence('pipedesk.user_roles', 'id');
BEGIN
    IF counted IS NULL THEN
        ALTER TABLE pipedesk.user_roles
            ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (INCREMENT BY -1 START WITH -1);
    ELSIF (SELECT seqincrement FROM pg_sequence WHERE seqrelid = counted) > 0 THEN
        ALTER TABLE pipedesk.user_roles
            ALTER COLUMN id SET INCREMENT BY -1 SET NO MINVALUE SET NO MAXVALUE SET START WITH -1 RESTART;
    END IF;
END
$$;
ALTER TABLE pipedesk.user_roles
    ALTER COLUMN raw_data SET DEFAULT '{}',
    DROP CONSTRAINT IF EXISTS user_roles_role_known,
    ADD CONSTRAINT user_roles_role_known CHECK (sync_hash IS NOT NULL OR role IN ('admin', 'manager', 'sales'));

-- The templates of folders that PipeDesk begins with, as long as there are none. 0004_pipedesk_down.sql knows them by
-- their hash, so that they do not count as somebody's rows.
WITH wanted (template, entity_type, folder, parent, "order") AS (VALUES
    ('Company Standard', 'company', 'Contracts', NULL, 1),
    ('Company Standard', 'company', 'Drafts', 'Contracts', 1),
    ('Company Standard', 'company', 'Signed', 'Contracts', 2),
    ('Company Standard', 'company', 'Correspondence', NULL, 2),
    ('Company Standard', 'company', 'Finance', NULL, 3),
    ('Company Standard', 'company', '{{year}}', 'Finance', 1),
    ('Lead Standard', 'lead', 'Qualification', NULL, 1),
    ('Lead Standard', 'lead', 'Proposals', NULL, 2),
    ('Deal Standard', 'deal', '{{year}} - {{entity_name}}', NULL, 1),
    ('Deal Standard', 'deal', 'Proposal', '{{year}} - {{entity_name}}', 1),
    ('Deal Standard', 'deal', 'Contract', '{{year}} - {{entity_name}}', 2),
    ('Contact Standard', 'contact', 'Documents', NULL, 1)
), made AS (
    INSERT INTO pipedesk.drive_structure_templates (name, entity_type)
    SELECT DISTINCT template, entity_type FROM wanted
    WHERE NOT EXISTS (SELECT FROM pipedesk.drive_structure_templates)
    RETURNING id, name
), top AS (
    INSERT INTO pipedesk.drive_structure_nodes (template_id, name, "order")
    SELECT m.id, w.folder, w."order" FROM wanted AS w JOIN made AS m ON m.name = w.template
    WHERE w.parent IS NULL ORDER BY w.template, w."order"
    RETURNING id, template_id, name
)
INSERT INTO pipedesk.drive_structure_nodes (template_id, parent_id, name, "order")
SELECT t.template_id, t.id, w.folder, w."order"
FROM wanted AS w
    JOIN made AS m ON m.name = w.template
    JOIN top AS t ON t.template_id = m.id AND t.name = w.parent
ORDER BY t.id, w."order";

-- Who trashed a folder or file from here, and why, stays for as long as it is deleted: the vendor's record, which comes
-- again with every change, does not tell.
CREATE OR REPLACE FUNCTION pipedesk.keep_who_deleted() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    NEW.deleted_at := OLD.deleted_at;
    NEW.deleted_by := OLD.deleted_by;
    NEW.delete_reason := OLD.delete_reason;
    RETURN NEW;
END
$$;
CREATE OR REPLACE TRIGGER keep_who_deleted BEFORE UPDATE ON pipedesk.google_drive_folders
    FOR EACH ROW WHEN (OLD.archived AND NEW.archived AND NEW.delete_reason IN ('archived', 'missing', 'erased')
        AND OLD.delete_reason NOT IN ('archived', 'missing', 'erased'))
    EXECUTE FUNCTION pipedesk.keep_who_deleted();
CREATE OR REPLACE TRIGGER keep_who_deleted BEFORE UPDATE ON pipedesk.drive_files
    FOR EACH ROW WHEN (OLD.archived AND NEW.archived AND NEW.delete_reason IN ('archived', 'missing', 'erased')
        AND OLD.delete_reason NOT IN ('archived', 'missing', 'erased'))
    EXECUTE FUNCTION pipedesk.keep_who_deleted();

-- What follows is PipeDesk as a program of ours: who may do what, what moves with an edit, how a lead is qualified.
--
-- A row without a sync_hash is owned: whoever may write it does so by SQL, and triggers keep what PipeDesk's program
-- kept. A row with one is mirrored: no trigger rewrites it, and nobody but the load, an erasure and a redaction changes
-- it. A load runs with session_replication_role = replica, where only the trigger keep_owned fires.
--
-- An application says who acts by the setting pipedesk.user_id, within its transaction; empty or no uuid means nobody.

CREATE OR REPLACE FUNCTION pipedesk.current_user_id() RETURNS uuid
LANGUAGE sql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
    SELECT CASE WHEN current_setting('pipedesk.user_id', true) ~ '^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$'
                THEN current_setting('pipedesk.user_id', true)::uuid END
$$;

-- Whether the user that acts may read, write, delete (softly, and restore) or administrate. By the roles of
-- user_roles, mirrored or owned: sales reads and writes, a manager deletes too, an admin may all. It sees past the
-- policies of the tables that it asks, which ask it.
CREATE OR REPLACE FUNCTION pipedesk.may(what text) RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT EXISTS (
        SELECT FROM pipedesk.user_roles AS r
        WHERE r.user_id = pipedesk.current_user_id() AND NOT r.archived
            AND r.role = ANY (CASE what WHEN 'read' THEN '{sales,manager,admin}'::text[]
                                        WHEN 'write' THEN '{sales,manager,admin}'
                                        WHEN 'delete' THEN '{manager,admin}'
                                        WHEN 'admin' THEN '{admin}' END)
    ) AND NOT EXISTS (SELECT FROM pipedesk.users AS u WHERE u.id = pipedesk.current_user_id() AND u.archived)
$$;

-- Whether this session is an application's. Others are bound by what they were granted, as in every other schema; so is
-- whoever could lift the policies anyway, such as a superuser, who is a member of every role.
CREATE OR REPLACE FUNCTION pipedesk.is_application() RETURNS boolean
LANGUAGE sql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
    SELECT coalesce(pg_has_role(current_user, to_regrole('pipedesk_app')::oid, 'USAGE')
                    AND NOT pg_has_role(current_user, c.relowner, 'USAGE'), false)
    -- Not by 'pipedesk.leads'::regclass: a reader of masked views may not use the schema.
    FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
    WHERE n.nspname = 'pipedesk' AND c.relname = 'leads'
$$;

-- Times of an owned row: updated_at where the table has it (an argument says so), unless the statement sets it, and
-- sync_updated_at, by which identity, the feed and the marts find what changed. clock_timestamp(), so that a second
-- edit within a transaction moves it too.
CREATE OR REPLACE FUNCTION pipedesk.touch() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF TG_ARGV[0] LIKE '%updated%' THEN
        IF NEW.updated_at IS NOT DISTINCT FROM OLD.updated_at THEN
            NEW.updated_at := clock_timestamp();
        END IF;
    END IF;
    IF TG_ARGV[0] LIKE '%synced%' THEN
        NEW.sync_updated_at := now();
        -- What is written into a row that was erased can be erased again.
        IF NEW.raw_data = '{"erased": true}' AND current_setting('warehouse.erasing', true) IS DISTINCT FROM 'on' THEN
            NEW.raw_data := '{}';
        END IF;
    END IF;
    RETURN NEW;
END
$$;

-- archived and deleted_at say the same of an owned row, whichever of the two was set; who deleted it is the user that
-- acts, where there is one. A row that comes back has neither who nor why.
CREATE OR REPLACE FUNCTION pipedesk.mark_deleted() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF NEW.deleted_at IS NOT DISTINCT FROM OLD.deleted_at THEN
        NEW.deleted_at := CASE WHEN NEW.archived THEN coalesce(NEW.deleted_at, now()) END;
    END IF;
    NEW.archived := NEW.deleted_at IS NOT NULL;
    IF NOT NEW.archived THEN
        NEW.delete_reason := NULL;
    END IF;
    IF TG_ARGV[0] = 'by' THEN
        NEW.deleted_by := CASE WHEN NEW.archived THEN coalesce(pipedesk.current_user_id()::text, NEW.deleted_by) END;
    END IF;
    RETURN NEW;
END
$$;

-- What the row triggers of an owned lead add when one of the ten fields changes, as PipeDesk's program does: a time of
-- the interaction, unless the statement sets one. To erase somebody is none.
CREATE OR REPLACE FUNCTION pipedesk.track_interaction() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF NEW.last_interaction_at IS NOT DISTINCT FROM OLD.last_interaction_at
        AND current_setting('warehouse.erasing', true) IS DISTINCT FROM 'on'
    THEN
        NEW.last_interaction_at := clock_timestamp();
    END IF;
    RETURN NEW;
END
$$;

-- The statistics of a lead follow it, where it has a row of them that is owned.
CREATE OR REPLACE FUNCTION pipedesk.follow_interaction() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    UPDATE pipedesk.lead_activity_stats AS s SET last_interaction_at = NEW.last_interaction_at
        WHERE s.lead_id = NEW.id AND s.sync_hash IS NULL
            AND s.last_interaction_at IS DISTINCT FROM NEW.last_interaction_at;
    RETURN NULL;
END
$$;

-- Writes into audit_logs that an owned row was deleted, restored or qualified, however that was done. Applications may
-- not write there, so it runs as its owner. Its argument is the column of the key.
CREATE OR REPLACE FUNCTION pipedesk.audit_deletion() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    row_    CONSTANT jsonb := to_jsonb(NEW);
    is_lead CONSTANT boolean := TG_TABLE_NAME = 'leads' AND row_ ->> 'qualified_at' IS NOT NULL
        AND to_jsonb(OLD) ->> 'qualified_at' IS NULL;
BEGIN
    INSERT INTO pipedesk.audit_logs (action, source_table, source_key, acted_by, reason, details) VALUES (
        CASE WHEN NEW.deleted_at IS NULL THEN 'restore' WHEN is_lead THEN 'qualify_lead' ELSE 'soft_delete' END,
        'pipedesk.' || TG_TABLE_NAME, row_ ->> TG_ARGV[0],
        coalesce(pipedesk.current_user_id()::text, nullif(current_setting('pipedesk.acting_user', true), ''),
                 row_ ->> 'deleted_by'),
        coalesce(nullif(current_setting('pipedesk.reason', true), ''), NEW.delete_reason),
        CASE WHEN is_lead THEN jsonb_build_object('company_id', row_ -> 'qualified_company_id',
                                                  'master_deal_id', row_ -> 'qualified_master_deal_id') END);
    RETURN NULL;
END
$$;
-- Attached to a table of somebody's own it would write what that table says.
REVOKE ALL ON FUNCTION pipedesk.audit_deletion() FROM PUBLIC;

CREATE OR REPLACE FUNCTION pipedesk.refuse_edit_of_mirrored() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF current_setting('warehouse.erasing', true) = 'on' THEN
        RETURN coalesce(NEW, OLD);
    END IF;
    RAISE insufficient_privilege USING
        MESSAGE = format('%s on pipedesk.%s: the row is mirrored, only the sync of PipeDesk changes it.', TG_OP,
                         TG_TABLE_NAME),
        HINT = 'Change it in PipeDesk. Rows that were made here have no sync_hash.';
END
$$;

-- An integrity constraint for the loader, which puts the record into the dead letters.
CREATE OR REPLACE FUNCTION pipedesk.refuse_takeover_of_owned() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RAISE integrity_constraint_violation USING
        MESSAGE = format('PipeDesk has a record with the key of a row of pipedesk.%s that was made here; the row stays.',
                         TG_TABLE_NAME);
END
$$;

CREATE OR REPLACE FUNCTION pipedesk.refuse_audit_change() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND current_setting('warehouse.erasing', true) = 'on'
        OR TG_OP = 'DELETE' AND current_setting('warehouse.retention', true) = 'on'
    THEN
        RETURN NULL;
    END IF;
    RAISE insufficient_privilege USING
        MESSAGE = format('%s on pipedesk.audit_logs: what was done never changes.', TG_OP);
END
$$;
CREATE OR REPLACE TRIGGER refuse_change BEFORE UPDATE OR DELETE OR TRUNCATE ON pipedesk.audit_logs
    FOR EACH STATEMENT EXECUTE FUNCTION pipedesk.refuse_audit_change();
ALTER TABLE pipedesk.audit_logs ENABLE ALWAYS TRIGGER refuse_change;

-- The triggers fire in the order of their names. PipeDesk's own tables are kept apart row by row; events, files and
-- folders become Google's by their next sync. updated_at of events is Google's clock, by which only newer wins.
DO $$
DECLARE
    one     record;
    owned   CONSTANT text := 'FOR EACH ROW WHEN (OLD.sync_hash IS NULL AND NEW.sync_hash IS NULL';
    ten     CONSTANT text[] := '{owner_user_id,lead_status_id,lead_origin_id,legal_name,trade_name,priority_score,'
        'qualified_company_id,qualified_master_deal_id,address_city,address_state}';
    changed text;
BEGIN
    FOR one IN
        SELECT c.oid::regclass AS name, c.relname IN ('calendar_events', 'drive_files', 'google_drive_folders') AS google,
            c.relname IN ('leads', 'companies', 'contacts', 'master_deals', 'drive_files', 'google_drive_folders') AS soft,
            bool_or(a.attname = 'deleted_by') AS has_by,
            bool_or(a.attname = 'updated_at') AND c.relname <> 'calendar_events' AS has_updated,
            CASE c.relname WHEN 'drive_files' THEN 'file_id' WHEN 'google_drive_folders' THEN 'folder_id' ELSE 'id' END
                AS key
        FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid AND NOT a.attisdropped
        WHERE c.relnamespace = 'pipedesk'::regnamespace AND c.relkind = 'r'
        GROUP BY c.oid, c.relname HAVING bool_or(a.attname = 'sync_hash')
    LOOP
        EXECUTE format('CREATE OR REPLACE TRIGGER touch BEFORE UPDATE ON %s %s) EXECUTE FUNCTION pipedesk.touch(%L)',
                       one.name, owned, CASE WHEN one.has_updated THEN 'synced updated' ELSE 'synced' END);
        EXECUTE format('CREATE OR REPLACE TRIGGER mark_deleted BEFORE UPDATE ON %s %s AND (OLD.deleted_at, OLD.archived) '
                       'IS DISTINCT FROM (NEW.deleted_at, NEW.archived)) EXECUTE FUNCTION pipedesk.mark_deleted(%L)',
                       one.name, owned, CASE WHEN one.has_by THEN 'by' ELSE '' END);
        IF one.soft THEN
            EXECUTE format('CREATE OR REPLACE TRIGGER audit_deletion AFTER UPDATE ON %s %s AND (OLD.deleted_at IS NULL) '
                           '<> (NEW.deleted_at IS NULL)) EXECUTE FUNCTION pipedesk.audit_deletion(%L)',
                           one.name, owned, one.key);
        END IF;
        IF NOT one.google THEN
            EXECUTE format('CREATE OR REPLACE TRIGGER keep_mirrored BEFORE UPDATE OR DELETE ON %s FOR EACH ROW '
                           'WHEN (OLD.sync_hash IS NOT NULL) EXECUTE FUNCTION pipedesk.refuse_edit_of_mirrored()',
                           one.name);
            EXECUTE format('CREATE OR REPLACE TRIGGER keep_owned BEFORE UPDATE ON %s FOR EACH ROW WHEN (OLD.sync_hash IS '
                           'NULL AND NEW.sync_hash IS NOT NULL) EXECUTE FUNCTION pipedesk.refuse_takeover_of_owned()',
                           one.name);
            EXECUTE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER keep_owned', one.name);
        END IF;
    END LOOP;
    SELECT format('(%s) IS DISTINCT FROM (%s)', string_agg('OLD.' || field, ', '), string_agg('NEW.' || field, ', '))
        INTO changed FROM unnest(ten) AS field;
    EXECUTE format('CREATE OR REPLACE TRIGGER track_interaction BEFORE UPDATE ON pipedesk.leads %s AND %s) '
                   'EXECUTE FUNCTION pipedesk.track_interaction()', owned, changed);
    EXECUTE format('CREATE OR REPLACE TRIGGER follow_interaction AFTER UPDATE ON pipedesk.leads %s AND '
                   'OLD.last_interaction_at IS DISTINCT FROM NEW.last_interaction_at) '
                   'EXECUTE FUNCTION pipedesk.follow_interaction()', owned);
END
$$;
CREATE OR REPLACE TRIGGER touch BEFORE UPDATE ON pipedesk.calendar_sync_states
    FOR EACH ROW EXECUTE FUNCTION pipedesk.touch('updated');
CREATE OR REPLACE TRIGGER touch BEFORE UPDATE ON pipedesk.drive_webhook_channels
    FOR EACH ROW EXECUTE FUNCTION pipedesk.touch('updated');

-- An application acts for the user whom it names, and for nobody else.
CREATE OR REPLACE FUNCTION pipedesk.refuse_other_user(p_user_id uuid) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF p_user_id IS DISTINCT FROM pipedesk.current_user_id()
        AND (pipedesk.is_application() OR pipedesk.current_user_id() IS NOT NULL)
    THEN
        RAISE insufficient_privilege USING
            MESSAGE = 'The user of the call is not the one of the setting pipedesk.user_id.';
    END IF;
END
$$;

-- What soft_delete and restore do.
CREATE OR REPLACE FUNCTION pipedesk.set_deleted(
    p_table text, p_key text, p_user_id uuid, p_reason text, p_deleted boolean
) RETURNS boolean LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    place  CONSTANT text := format('%s pipedesk.%s %s', CASE WHEN p_deleted THEN 'Deleting' ELSE 'Restoring' END, p_table,
                                   p_key);
    this   CONSTANT text := CASE p_table WHEN 'drive_files' THEN 'file_id = $1'
                                         WHEN 'google_drive_folders' THEN 'folder_id = $1' ELSE 'id = $1::uuid' END;
    stored jsonb;
    done   bigint;
BEGIN
    IF p_table <> ALL ('{leads,companies,contacts,master_deals,drive_files,google_drive_folders}') THEN
        RAISE invalid_parameter_value USING MESSAGE = format('%s: the table has no soft deletion.', place);
    END IF;
    PERFORM pipedesk.refuse_other_user(p_user_id);
    EXECUTE format('SELECT to_jsonb(t) FROM pipedesk.%I AS t WHERE %s', p_table, this) INTO stored USING p_key;
    IF stored IS NULL THEN
        RAISE no_data_found USING MESSAGE = format('%s: there is no such row.', place);
    ELSIF stored ->> 'sync_hash' IS NOT NULL THEN
        RAISE insufficient_privilege USING MESSAGE = format('%s: the row is mirrored, only the sync changes it.', place);
    ELSIF (stored ->> 'deleted_at' IS NOT NULL) = p_deleted THEN
        RETURN false;
    ELSIF stored ->> 'qualified_at' IS NOT NULL THEN
        RAISE object_not_in_prerequisite_state USING
            MESSAGE = format('%s: the lead was qualified, not deleted.', place);
    END IF;
    PERFORM set_config('pipedesk.acting_user', coalesce(p_user_id::text, ''), true),
        set_config('pipedesk.reason', coalesce(p_reason, ''), true);
    EXECUTE format('UPDATE pipedesk.%I SET deleted_at = CASE WHEN $4 THEN now() END, deleted_by = $2, delete_reason = $3 '
                   'WHERE %s AND (deleted_at IS NULL) = $4', p_table, this)
        USING p_key, p_user_id::text, p_reason, p_deleted;
    GET DIAGNOSTICS done = ROW_COUNT;
    PERFORM set_config('pipedesk.acting_user', '', true), set_config('pipedesk.reason', '', true);
    IF done = 0 THEN
        RAISE insufficient_privilege USING
            MESSAGE = format('%s: the user may not, or another session was faster.', place);
    END IF;
    RETURN true;
END
$$;

-- Deletes an owned row softly; false if it was deleted already. Raises for a table without soft deletion, for no such
-- row, for one that is mirrored, and for a user that may not.
CREATE OR REPLACE FUNCTION pipedesk.soft_delete(p_table text, p_key text, p_user_id uuid, p_reason text DEFAULT NULL)
RETURNS boolean LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
    SELECT pipedesk.set_deleted(p_table, p_key, p_user_id, p_reason, true)
$$;

-- Brings it back, with who and why in audit_logs; false if it was not deleted. A qualified lead is not deleted.
CREATE OR REPLACE FUNCTION pipedesk.restore(p_table text, p_key text, p_user_id uuid, p_reason text DEFAULT NULL)
RETURNS boolean LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
    SELECT pipedesk.set_deleted(p_table, p_key, p_user_id, p_reason, false)
$$;

-- Makes a company and a deal of an owned lead, unless it has them, and hides it: qualified_at and deleted_at. Of the new
-- company `name` and `cnpj` are taken; without a name it has the lead's. Contacts of the lead without a company get this
-- one. Returns the two ids; of a lead that was qualified before those of then, and nothing changes.
CREATE OR REPLACE FUNCTION pipedesk.qualify_lead(p_lead_id uuid, p_new_company_data jsonb, p_user_id uuid) RETURNS jsonb
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    given   CONSTANT jsonb := coalesce(nullif(p_new_company_data, 'null'), '{}');
    lead    pipedesk.leads;
    may_not boolean;
BEGIN
    PERFORM pipedesk.refuse_other_user(p_user_id);
    IF jsonb_typeof(given) <> 'object' THEN
        RAISE invalid_parameter_value USING MESSAGE = 'Qualifying a lead: the data of the company is not an object.';
    END IF;
    -- A second session waits here. What the user may not change is not found, a qualified lead among it.
    SELECT * INTO lead FROM pipedesk.leads AS l WHERE l.id = p_lead_id FOR UPDATE;
    may_not := NOT FOUND;
    IF may_not THEN
        SELECT * INTO lead FROM pipedesk.leads AS l WHERE l.id = p_lead_id;
    END IF;
    IF lead.id IS NULL THEN
        RAISE no_data_found USING MESSAGE = format('Qualifying lead %s: there is no such lead.', p_lead_id);
    ELSIF lead.sync_hash IS NOT NULL THEN
        RAISE insufficient_privilege USING
            MESSAGE = format('Qualifying lead %s: it is mirrored from PipeDesk, where it is qualified.', p_lead_id);
    ELSIF lead.qualified_at IS NOT NULL THEN
        RETURN jsonb_build_object('company_id', lead.qualified_company_id,
                                  'master_deal_id', lead.qualified_master_deal_id);
    ELSIF lead.deleted_at IS NOT NULL THEN
        RAISE object_not_in_prerequisite_state USING
            MESSAGE = format('Qualifying lead %s: it was deleted. Restore it first.', p_lead_id);
    ELSIF may_not THEN
        RAISE insufficient_privilege USING MESSAGE = format('Qualifying lead %s: the user may not.', p_lead_id);
    END IF;
    IF lead.qualified_company_id IS NULL THEN
        INSERT INTO pipedesk.companies (name, cnpj) VALUES (
            coalesce(nullif(btrim(given ->> 'name'), ''), lead.legal_name, lead.trade_name),
            nullif(btrim(given ->> 'cnpj'), ''))
        RETURNING id INTO lead.qualified_company_id;
    END IF;
    IF lead.qualified_master_deal_id IS NULL THEN
        INSERT INTO pipedesk.master_deals (client_name, company_id)
        SELECT c.name, c.id FROM pipedesk.companies AS c WHERE c.id = lead.qualified_company_id
        RETURNING id INTO lead.qualified_master_deal_id;
    END IF;
    UPDATE pipedesk.contacts AS c SET company_id = lead.qualified_company_id
        FROM pipedesk.lead_contacts AS l
        WHERE l.lead_id = lead.id AND NOT l.archived AND c.id = l.contact_id
            AND c.company_id IS NULL AND c.sync_hash IS NULL AND c.deleted_at IS NULL;
    UPDATE pipedesk.leads AS l
        SET qualified_company_id = lead.qualified_company_id, qualified_master_deal_id = lead.qualified_master_deal_id,
            lead_status_id = coalesce((SELECT s.id FROM pipedesk.lead_statuses AS s
                                       WHERE lower(s.code) = 'qualified' AND NOT s.archived
                                       ORDER BY s.sync_hash IS NOT NULL, s.id LIMIT 1), l.lead_status_id),
            qualified_at = now(), deleted_at = now(), deleted_by = p_user_id::text, delete_reason = 'qualified'
        WHERE l.id = lead.id;
    RETURN jsonb_build_object('company_id', lead.qualified_company_id, 'master_deal_id', lead.qualified_master_deal_id);
END
$$;

-- Row-level security binds applications alone: members of pipedesk_app act for a user, whose roles count. All others,
-- such as the user that loads and readers, see what they were granted. A tenant has an installation of its own, so no
-- policy knows of tenants. What an application is granted follows from its policies (sql/queries/pipedesk_grants.sql).
DO $$
DECLARE
    one    record;
    made   record;
    change text;
    usable text;
BEGIN
    FOR one IN
        SELECT c.oid::regclass AS name, c.relname, k.kind,
            EXISTS (SELECT FROM pg_attribute AS a WHERE a.attrelid = c.oid AND a.attname = 'sync_hash'
                    AND NOT a.attisdropped) AS has_mirrored
        FROM pg_class AS c LEFT JOIN (VALUES
            ('leads', 'record'), ('companies', 'record'), ('contacts', 'record'), ('master_deals', 'record'),
            ('calendar_events', 'read'), ('drive_files', 'record'), ('google_drive_folders', 'record'),
            ('drive_folder_links', 'read'), ('lead_contacts', 'link'), ('lead_tags', 'link'), ('tags', 'word'),
            ('lead_activity_stats', 'word'), ('users', 'admin'), ('user_roles', 'admin'), ('lead_statuses', 'admin'),
            ('lead_origins', 'admin'), ('drive_structure_templates', 'admin'), ('drive_structure_nodes', 'admin'),
            ('audit_logs', 'log')) AS k (relname, kind) ON k.relname = c.relname
        WHERE c.relnamespace = 'pipedesk'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
    LOOP
        EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', one.name);
        FOR made IN SELECT polname FROM pg_policy WHERE polrelid = one.name LOOP
            EXECUTE format('DROP POLICY %I ON %s', made.polname, one.name);
        END LOOP;
        EXECUTE format('CREATE POLICY others ON %s USING ((SELECT NOT pipedesk.is_application()))', one.name);
        CONTINUE WHEN one.kind IS NULL;
        EXECUTE format('CREATE POLICY app_read ON %s FOR SELECT USING ((SELECT pipedesk.may(%L)))', one.name,
                       CASE one.kind WHEN 'log' THEN 'delete' ELSE 'read' END);
        CONTINUE WHEN one.kind IN ('read', 'log');
        change := format('(SELECT pipedesk.may(%L))', CASE one.kind WHEN 'admin' THEN 'admin' ELSE 'write' END)
            || CASE WHEN one.has_mirrored THEN ' AND sync_hash IS NULL' ELSE '' END;
        IF one.kind IN ('link', 'admin') THEN
            EXECUTE format('CREATE POLICY app_remove ON %s FOR DELETE USING (%s)', one.name, change);
        END IF;
        usable := change || CASE one.kind WHEN 'record' THEN ' AND (deleted_at IS NULL OR (SELECT pipedesk.may(''delete'')))'
                                          ELSE '' END;
        -- Qualifying hides a lead as deleting does, and is for whoever may write.
        change := CASE one.relname WHEN 'leads' THEN change || ' AND (deleted_at IS NULL OR '
                      '(SELECT pipedesk.may(''delete'')) OR qualified_at IS NOT NULL AND qualified_company_id IS NOT NULL '
                      'AND qualified_master_deal_id IS NOT NULL)'
                  ELSE usable END;
        EXECUTE format('CREATE POLICY app_add ON %s FOR INSERT WITH CHECK (%s)', one.name, usable);
        EXECUTE format('CREATE POLICY app_change ON %s FOR UPDATE USING (%s) WITH CHECK (%s)', one.name, usable, change);
    END LOOP;
END
$$;

-- What the columns mean that no entity declares.
COMMENT ON COLUMN pipedesk.calendar_events.id IS 'A number for the row; it stays when the row is read again.';
COMMENT ON COLUMN pipedesk.drive_files.id IS 'A number for the row; it stays when the row is read again.';
COMMENT ON COLUMN pipedesk.google_drive_folders.id IS 'A number for the row; it stays when the row is read again.';
COMMENT ON COLUMN pipedesk.calendar_events_archive.calendar_id IS 'As in calendar_events.';
COMMENT ON COLUMN pipedesk.calendar_events_archive.google_event_id IS 'As in calendar_events.';
COMMENT ON COLUMN pipedesk.calendar_events_archive.id IS 'As in calendar_events.';
COMMENT ON COLUMN pipedesk.calendar_events_archive.summary IS 'Title of the event.';
COMMENT ON COLUMN pipedesk.calendar_events_archive.description IS 'Text of the event.';
COMMENT ON COLUMN pipedesk.calendar_events_archive.start_time IS 'When the event began.';
COMMENT ON COLUMN pipedesk.calendar_events_archive.end_time IS 'When the event ended.';
COMMENT ON COLUMN pipedesk.calendar_events_archive.meet_link IS 'Link of its video call.';
COMMENT ON COLUMN pipedesk.calendar_events_archive.html_link IS 'Link of the event in Google Calendar.';
COMMENT ON COLUMN pipedesk.calendar_events_archive.status IS 'Status of the event at Google.';
COMMENT ON COLUMN pipedesk.calendar_events_archive.organizer_email IS 'E-mail address of the organizer.';
COMMENT ON COLUMN pipedesk.calendar_events_archive.attendees IS 'Guests, as Google sends them.';
COMMENT ON COLUMN pipedesk.calendar_events_archive.created_at IS 'When the event was created at Google.';
COMMENT ON COLUMN pipedesk.calendar_events_archive.updated_at IS 'When the event was last changed at Google.';
COMMENT ON COLUMN pipedesk.calendar_events_archive.deleted_at IS 'When it was deleted.';
COMMENT ON COLUMN pipedesk.calendar_events_archive.raw_data IS 'The event as Google sent it.';
COMMENT ON COLUMN pipedesk.calendar_events_archive.archived_at IS 'When the row was moved here.';
COMMENT ON COLUMN pipedesk.calendar_sync_states.id IS 'Key.';
COMMENT ON COLUMN pipedesk.calendar_sync_states.resource_id IS 'Google''s id of what the channel watches.';
COMMENT ON COLUMN pipedesk.calendar_sync_states.channel_id IS 'Id of the push channel.';
COMMENT ON COLUMN pipedesk.calendar_sync_states.calendar_id IS 'The calendar.';
COMMENT ON COLUMN pipedesk.calendar_sync_states.expiration IS 'When the channel expires.';
COMMENT ON COLUMN pipedesk.calendar_sync_states.active IS 'Whether the channel is in use.';
COMMENT ON COLUMN pipedesk.calendar_sync_states.created_at IS 'When the row was written.';
COMMENT ON COLUMN pipedesk.calendar_sync_states.updated_at IS 'When the row was last changed.';
COMMENT ON TABLE pipedesk.drive_applied_nodes IS
    'Which folder of Google Drive a template has for a company, lead, deal or contact. Written before the folder is made.';
COMMENT ON COLUMN pipedesk.drive_applied_nodes.folder_id IS 'Google''s id of the folder.';
COMMENT ON COLUMN pipedesk.drive_applied_nodes.entity_type IS 'company, lead, deal or contact.';
COMMENT ON COLUMN pipedesk.drive_applied_nodes.entity_id IS 'Whose folder it is.';
COMMENT ON COLUMN pipedesk.drive_applied_nodes.node_id IS
    'The folder of the template, or of one that was deleted; null is the folder above all of them.';
COMMENT ON COLUMN pipedesk.drive_applied_nodes.created_at IS 'When the id was reserved at Google Drive.';
COMMENT ON COLUMN pipedesk.drive_change_logs.id IS 'Key.';
COMMENT ON COLUMN pipedesk.drive_change_logs.channel_id IS 'The push channel that it came by.';
COMMENT ON COLUMN pipedesk.drive_change_logs.resource_id IS 'Google''s id of what the channel watches.';
COMMENT ON COLUMN pipedesk.drive_change_logs.changed_resource_id IS 'Google''s id of what changed.';
COMMENT ON COLUMN pipedesk.drive_change_logs.event_type IS 'What happened, in Google''s word.';
COMMENT ON COLUMN pipedesk.drive_change_logs.received_at IS 'When the notification arrived.';
COMMENT ON COLUMN pipedesk.drive_change_logs.raw_headers IS 'Its headers.';
COMMENT ON COLUMN pipedesk.drive_files_archive.file_id IS 'As in drive_files.';
COMMENT ON COLUMN pipedesk.drive_files_archive.id IS 'As in drive_files.';
COMMENT ON COLUMN pipedesk.drive_files_archive.parent_folder_id IS 'Google''s id of the folder it lay in.';
COMMENT ON COLUMN pipedesk.drive_files_archive.name IS 'Name of the file.';
COMMENT ON COLUMN pipedesk.drive_files_archive.mime_type IS 'Kind of the content, as a MIME type.';
COMMENT ON COLUMN pipedesk.drive_files_archive.size IS 'Size, in bytes.';
COMMENT ON COLUMN pipedesk.drive_files_archive.created_at IS 'When the file was created at Google.';
COMMENT ON COLUMN pipedesk.drive_files_archive.deleted_at IS 'When it was deleted.';
COMMENT ON COLUMN pipedesk.drive_files_archive.deleted_by IS 'E-mail address of who deleted it.';
COMMENT ON COLUMN pipedesk.drive_files_archive.delete_reason IS 'Why the row was a tombstone.';
COMMENT ON COLUMN pipedesk.drive_files_archive.raw_data IS 'The file as Google described it.';
COMMENT ON COLUMN pipedesk.drive_files_archive.archived_at IS 'When the row was moved here.';
COMMENT ON COLUMN pipedesk.drive_structure_nodes.id IS 'Key.';
COMMENT ON COLUMN pipedesk.drive_structure_nodes.template_id IS 'The template.';
COMMENT ON COLUMN pipedesk.drive_structure_nodes.parent_id IS 'The folder above it; null at the top.';
COMMENT ON COLUMN pipedesk.drive_structure_nodes."order" IS 'Place among its siblings; the smallest comes first.';
COMMENT ON COLUMN pipedesk.drive_structure_templates.id IS 'Key.';
COMMENT ON COLUMN pipedesk.drive_structure_templates.name IS 'Name of the template.';
COMMENT ON COLUMN pipedesk.drive_structure_templates.entity_type IS 'For what it is, such as a company or a lead.';
COMMENT ON COLUMN pipedesk.drive_structure_templates.active IS 'Whether it is in use.';
COMMENT ON COLUMN pipedesk.drive_webhook_channels.id IS 'Key.';
COMMENT ON COLUMN pipedesk.drive_webhook_channels.channel_id IS 'Id of the push channel.';
COMMENT ON COLUMN pipedesk.drive_webhook_channels.resource_id IS 'Google''s id of what the channel watches.';
COMMENT ON COLUMN pipedesk.drive_webhook_channels.watched_resource_id IS 'Id of what is watched.';
COMMENT ON COLUMN pipedesk.drive_webhook_channels.expires_at IS 'When the channel expires.';
COMMENT ON COLUMN pipedesk.drive_webhook_channels.active IS 'Whether the channel is in use.';
COMMENT ON COLUMN pipedesk.drive_webhook_channels.created_at IS 'When the row was written.';
COMMENT ON COLUMN pipedesk.drive_webhook_channels.updated_at IS 'When the row was last changed.';
COMMENT ON COLUMN pipedesk.companies.deleted_by IS 'Id of the user who deleted an owned row.';
COMMENT ON COLUMN pipedesk.contacts.deleted_by IS 'Id of the user who deleted an owned row.';
COMMENT ON COLUMN pipedesk.leads.deleted_by IS 'Id of the user who deleted an owned row.';
COMMENT ON COLUMN pipedesk.master_deals.deleted_by IS 'Id of the user who deleted an owned row.';

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
    ALTER COLUMN id SET DEFAULT gen_random_uuid(),
    ALTER COLUMN raw_data SET DEFAULT '{}';

-- The id is the one that signed up, so it has no default.
ALTER TABLE pipedesk.users
    ALTER COLUMN raw_data SET DEFAULT '{}';

ALTER TABLE pipedesk.contacts
    ALTER COLUMN id SET DEFAULT gen_random_uuid(),
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
    ALTER COLUMN id SET DEFAULT gen_random_uuid(),
    ALTER COLUMN raw_data SET DEFAULT '{}',
    DROP CONSTRAINT IF EXISTS master_deals_company_id_fkey,
    ADD CONSTRAINT master_deals_company_id_fkey
        FOREIGN KEY (company_id) REFERENCES pipedesk.companies NOT VALID;

ALTER TABLE pipedesk.leads
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

DO $$
BEGIN
    ALTER TABLE pipedesk.user_roles ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY;
EXCEPTION WHEN object_not_in_prerequisite_state THEN NULL;  -- it is one already
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
COMMENT ON COLUMN pipedesk.drive_applied_nodes.created_at IS 'When the id was taken.';
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

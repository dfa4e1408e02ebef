-- What was done to the rows that PipeDesk owns here. sql/schemas/pipedesk.sql has who writes it.
CREATE TABLE pipedesk.audit_logs (
    id           bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    created_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    action       text        NOT NULL CHECK (action IN ('qualify_lead', 'soft_delete', 'restore')),
    source_table text        NOT NULL,
    source_key   text        NOT NULL,
    acted_by     text,
    reason       text,
    details      jsonb
);
COMMENT ON TABLE pipedesk.audit_logs IS
    'Who qualified, deleted or restored a row of ours, when and why. Rows are added and never changed.';
COMMENT ON COLUMN pipedesk.audit_logs.id IS 'Key.';
COMMENT ON COLUMN pipedesk.audit_logs.created_at IS 'When it was done.';
COMMENT ON COLUMN pipedesk.audit_logs.action IS 'qualify_lead, soft_delete or restore.';
COMMENT ON COLUMN pipedesk.audit_logs.source_table IS 'The table, such as pipedesk.leads.';
COMMENT ON COLUMN pipedesk.audit_logs.source_key IS 'The key of the row.';
COMMENT ON COLUMN pipedesk.audit_logs.acted_by IS 'Id of the user who did it; null where nobody said.';
COMMENT ON COLUMN pipedesk.audit_logs.reason IS 'Why, as somebody wrote it; emptied when the row is erased.';
COMMENT ON COLUMN pipedesk.audit_logs.details IS 'Of a qualified lead company_id and master_deal_id.';
CREATE INDEX idx_audit_logs_source ON pipedesk.audit_logs (source_table, source_key);
CREATE INDEX idx_audit_logs_created_at ON pipedesk.audit_logs (created_at);

-- Without a sync_hash a row counts as made here. What an erasure emptied had none either, and has a record.
DO $$
DECLARE
    mirrored regclass;
BEGIN
    FOR mirrored IN
        SELECT c.oid FROM pg_class AS c
        WHERE c.relnamespace = 'pipedesk'::regnamespace AND c.relkind = 'r'
            AND c.relname IN ('companies', 'users', 'contacts', 'lead_contacts', 'leads', 'master_deals', 'tags', 'lead_tags',
                'lead_statuses', 'lead_origins', 'lead_activity_stats', 'user_roles', 'drive_folder_links')
    LOOP
        EXECUTE format('UPDATE %s SET sync_hash = 0 WHERE sync_hash IS NULL AND raw_data <> ''{}''', mirrored);
    END LOOP;
END
$$;

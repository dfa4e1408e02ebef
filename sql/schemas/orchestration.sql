-- What is known of runs: history and cursors, schedules, records that could not be loaded.
--
-- What the columns of the schema orchestration mean, where the migrations that made them do not say it.
--
-- Run after an upgrade in which this file has changed; safe to repeat.

COMMENT ON TABLE orchestration.alembic_version IS 'The revision that the database is at; written by the migrations.';
COMMENT ON COLUMN orchestration.alembic_version.version_num IS 'The revision.';

COMMENT ON COLUMN orchestration.sync_history.id IS 'Key; grows with time.';
COMMENT ON COLUMN orchestration.sync_history.crm_source IS 'The CRM, such as hubspot.';
COMMENT ON COLUMN orchestration.sync_history.sync_type IS 'The entity, such as contacts.';
COMMENT ON COLUMN orchestration.sync_history.endpoint IS
    'What was asked at the vendor; its meaning is the source''s own.';
COMMENT ON COLUMN orchestration.sync_history.start_time IS 'When the run began, before its first request.';
COMMENT ON COLUMN orchestration.sync_history.end_time IS 'When it ended; null while it is running.';
COMMENT ON COLUMN orchestration.sync_history.status IS
    'running; success; partial (some records are in the dead letters, or the read may not be complete); failed.';
COMMENT ON COLUMN orchestration.sync_history.records_processed IS
    'Records that were read: created + updated + failed, and in performance_metrics unchanged + filtered.';
COMMENT ON COLUMN orchestration.sync_history.records_created IS 'Rows that were added.';
COMMENT ON COLUMN orchestration.sync_history.records_updated IS 'Rows that were changed.';
COMMENT ON COLUMN orchestration.sync_history.records_failed IS 'Records that went to the dead letters.';
COMMENT ON COLUMN orchestration.sync_history.error_message IS 'What went wrong and what to do, without personal data.';
COMMENT ON COLUMN orchestration.sync_history.configuration IS
    'What was asked for: mode, window, options; and the cursor that the next delta begins at.';
COMMENT ON COLUMN orchestration.sync_history.performance_metrics IS
    'Figures of the run; times in seconds (*_seconds), memory in MB (*_mb).';
COMMENT ON COLUMN orchestration.sync_history.created_at IS 'When the row was written.';

COMMENT ON COLUMN orchestration.dead_letter.id IS 'Key; what `warehouse dead-letters show` asks for.';
COMMENT ON COLUMN orchestration.dead_letter.crm_source IS 'The CRM, as in sync_history.';
COMMENT ON COLUMN orchestration.dead_letter.sync_type IS 'The entity, as in sync_history.';
COMMENT ON COLUMN orchestration.dead_letter.record_key IS
    'The key of the record, its parts apart by blanks; null where it has none.';
COMMENT ON COLUMN orchestration.dead_letter.stage IS
    'Where it failed: coerce (types), validate (rules), load (PostgreSQL).';
COMMENT ON COLUMN orchestration.dead_letter.error_category IS 'transient, data or system; that of a record is data.';
COMMENT ON COLUMN orchestration.dead_letter.rule IS 'The rule that it broke, by its name.';
COMMENT ON COLUMN orchestration.dead_letter.error_message IS 'What is wrong with it, without personal data.';
COMMENT ON COLUMN orchestration.dead_letter.created_at IS 'When it was first met.';
COMMENT ON COLUMN orchestration.dead_letter.resolved_at IS
    'When it was closed, by being loaded or superseded; null while it is open.';
COMMENT ON COLUMN orchestration.dead_letter.last_seen_at IS 'When it was last met.';
COMMENT ON COLUMN orchestration.dead_letter.waived_at IS 'When somebody gave it up.';
COMMENT ON COLUMN orchestration.dead_letter.waived_by IS 'Who gave it up.';
COMMENT ON COLUMN orchestration.dead_letter.waive_reason IS 'Why it was given up.';
COMMENT ON COLUMN orchestration.dead_letter.open_key IS
    'Hash of record_key and entity while it is open; by this the loader finds it.';
COMMENT ON COLUMN orchestration.dead_letter.open_payload IS 'payload_hash while it is open; by this it is kept once.';

COMMENT ON TABLE orchestration.request_budget IS
    'Requests made with each credential, so that all runs together keep to the vendor''s limits.';
COMMENT ON COLUMN orchestration.request_budget.credential IS 'A hash of the credential.';
COMMENT ON COLUMN orchestration.request_budget.budget IS 'Which of the vendor''s limits it counts for.';
COMMENT ON COLUMN orchestration.request_budget.slot IS 'The twentieth of the limit''s window, counted since 1970.';
COMMENT ON COLUMN orchestration.request_budget.used IS 'Requests made in it.';

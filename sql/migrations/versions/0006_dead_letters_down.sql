UPDATE orchestration.sync_history SET status = 'partial' WHERE status = 'success' AND records_failed > 0;
ALTER TABLE orchestration.sync_history
    DROP CONSTRAINT sync_history_success_is_clean,
    ADD CONSTRAINT sync_history_success_is_clean
        CHECK (status <> 'success' OR (records_failed = 0 AND error_message IS NULL));

-- What was waived waits again: there is no other word for it.
ALTER TABLE orchestration.dead_letter
    DROP CONSTRAINT dead_letter_waived_by_whom,
    DROP CONSTRAINT dead_letter_end_when_closed,
    DROP CONSTRAINT dead_letter_status_check;
UPDATE orchestration.dead_letter SET status = 'pending' WHERE status = 'waived';
DROP INDEX orchestration.idx_dead_letter_open;
ALTER TABLE orchestration.dead_letter
    DROP COLUMN open_payload,
    DROP COLUMN open_key,
    DROP COLUMN waive_reason,
    DROP COLUMN waived_by,
    DROP COLUMN waived_at,
    DROP COLUMN last_seen_at,
    DROP COLUMN last_sync_history_id,
    DROP COLUMN payload_hash,
    ADD CONSTRAINT dead_letter_status_check CHECK (status IN ('pending', 'resolved', 'superseded')),
    ADD CONSTRAINT dead_letter_end_when_closed CHECK ((status = 'pending') = (resolved_at IS NULL));
CREATE INDEX idx_dead_letter_pending ON orchestration.dead_letter (crm_source, sync_type, record_key)
    WHERE status = 'pending';
COMMENT ON COLUMN orchestration.dead_letter.sync_history_id IS NULL;
COMMENT ON COLUMN orchestration.dead_letter.attempts IS NULL;
COMMENT ON COLUMN orchestration.dead_letter.status IS
    'superseded: the same record failed again in a later run, whose letter counts.';

-- The same record with the same payload is the same dead letter: it is seen again, and not written anew.
-- A person may waive one that cannot be cured.
ALTER TABLE orchestration.dead_letter
    DROP CONSTRAINT dead_letter_status_check,
    DROP CONSTRAINT dead_letter_end_when_closed,
    ADD CONSTRAINT dead_letter_status_check CHECK (status IN ('pending', 'waived', 'resolved', 'superseded')),
    ADD CONSTRAINT dead_letter_end_when_closed CHECK ((status IN ('pending', 'waived')) = (resolved_at IS NULL)),
    ADD COLUMN payload_hash bigint,
    ADD COLUMN last_sync_history_id bigint,
    ADD COLUMN last_seen_at timestamptz NOT NULL DEFAULT now(),
    ADD COLUMN waived_at timestamptz,
    ADD COLUMN waived_by text,
    ADD COLUMN waive_reason text,
    ADD CONSTRAINT dead_letter_waived_by_whom CHECK (
        status <> 'waived' OR (waived_at IS NOT NULL AND waived_by <> '' AND waive_reason <> '')),
    -- Null once the dead letter is closed. The loader asks by these two alone, so that one index and no other fits,
    -- whatever the statistics say.
    ADD COLUMN open_key bigint GENERATED ALWAYS AS (
        CASE WHEN status IN ('pending', 'waived')
            THEN hashtextextended(record_key, hashtextextended(crm_source || ' ' || sync_type, 0)) END) STORED,
    ADD COLUMN open_payload bigint GENERATED ALWAYS AS (
        CASE WHEN status IN ('pending', 'waived') THEN payload_hash END) STORED;

UPDATE orchestration.dead_letter SET
    payload_hash = hashtextextended(payload::text, hashtextextended(crm_source || ' ' || sync_type, 0)),
    last_sync_history_id = sync_history_id,
    last_seen_at = created_at;
UPDATE orchestration.dead_letter SET status = 'superseded', resolved_at = now() WHERE id IN (
    SELECT id FROM (
        SELECT id, row_number() OVER (PARTITION BY payload_hash ORDER BY id DESC) AS place
        FROM orchestration.dead_letter WHERE status = 'pending') same
    WHERE place > 1);

CREATE UNIQUE INDEX dead_letter_once ON orchestration.dead_letter (open_payload);
CREATE INDEX idx_dead_letter_open_key ON orchestration.dead_letter (open_key);
-- A key may be longer than an entry of an index can be.
DROP INDEX orchestration.idx_dead_letter_pending;
CREATE INDEX idx_dead_letter_open ON orchestration.dead_letter (crm_source, sync_type, status)
    WHERE status IN ('pending', 'waived');

COMMENT ON COLUMN orchestration.dead_letter.sync_history_id IS 'The run that wrote it.';
COMMENT ON COLUMN orchestration.dead_letter.last_sync_history_id IS 'The last run that met it again.';
COMMENT ON COLUMN orchestration.dead_letter.payload_hash IS
    'Of the payload as jsonb spells it, and of the entity: equal hashes are the same dead letter.';
COMMENT ON COLUMN orchestration.dead_letter.attempts IS 'How many runs and replays failed to load it.';
COMMENT ON COLUMN orchestration.dead_letter.status IS
    'superseded: the same record failed again with another payload, whose dead letter counts. waived: a person gave it '
    'up; it stays so while its payload stays the same.';

-- A run that met only dead letters it knew is a success.
ALTER TABLE orchestration.sync_history
    DROP CONSTRAINT sync_history_success_is_clean,
    ADD CONSTRAINT sync_history_success_is_clean CHECK (
        status <> 'success' OR (error_message IS NULL
            AND records_failed = coalesce((performance_metrics ->> 'known_failed')::integer, 0)));

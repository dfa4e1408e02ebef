-- Runs go back from the archive, which has all whose sums were kept, but those that are past the archive's own age.
INSERT INTO orchestration.sync_history
    (id, crm_source, sync_type, endpoint, start_time, end_time, status, records_processed, records_created,
     records_updated, records_failed, error_message, configuration, performance_metrics, run_id, created_at)
    SELECT id, crm_source, sync_type, endpoint, start_time, end_time, status, records_processed, records_created,
        records_updated, records_failed, error_message, configuration, performance_metrics, run_id, created_at
    FROM orchestration.sync_history_archive ON CONFLICT (id) DO NOTHING;
CREATE OR REPLACE VIEW orchestration.sync_metrics_daily AS
    SELECT (h.start_time AT TIME ZONE 'UTC')::date AS day, h.crm_source, h.sync_type,
        count(*) AS runs,
        count(*) FILTER (WHERE h.status = 'success') AS succeeded,
        count(*) FILTER (WHERE h.status = 'partial') AS partial,
        count(*) FILTER (WHERE h.status = 'failed') AS failed,
        count(*) FILTER (WHERE h.status = 'cancelled') AS cancelled,
        round(avg(extract(epoch FROM h.end_time - h.start_time)), 3) AS average_seconds,
        round(max(extract(epoch FROM h.end_time - h.start_time)), 3) AS longest_seconds,
        sum(h.records_processed) AS records_processed,
        sum(h.records_created) AS records_created,
        sum(h.records_updated) AS records_updated,
        sum(h.records_failed) AS records_failed,
        round(sum(h.records_failed)::numeric / nullif(sum(h.records_processed), 0), 6) AS error_rate,
        coalesce(sum((h.performance_metrics ->> 'total_api_calls')::bigint), 0)::bigint AS api_calls,
        round(60 * sum((h.performance_metrics ->> 'total_api_calls')::numeric)
              / nullif(sum(extract(epoch FROM h.end_time - h.start_time)), 0), 1) AS api_calls_per_minute
    FROM orchestration.sync_history AS h
    WHERE NOT coalesce((h.configuration ->> 'dry_run')::boolean, false)
        AND coalesce(h.configuration ->> 'mode', '') <> 'refused'
    GROUP BY 1, 2, 3;
DROP FUNCTION orchestration.take_requests(text, text, integer, double precision, integer, text);
ALTER TABLE orchestration.request_budget DROP COLUMN crm_source, DROP COLUMN maximum, DROP COLUMN window_seconds;
CREATE FUNCTION orchestration.take_requests(
    of_credential text, of_budget text, maximum integer, window_seconds double precision, wanted integer
) RETURNS double precision
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    width  double precision := window_seconds / 20;
    now_at double precision;
    this   bigint;
    taken  bigint;
    oldest bigint;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended(of_credential || ':' || of_budget, 1));
    now_at := extract(epoch FROM clock_timestamp());
    this := floor(now_at / width);
    DELETE FROM orchestration.request_budget
        WHERE credential = of_credential AND budget = of_budget AND slot < this - 20;
    SELECT coalesce(sum(used), 0), min(slot) INTO taken, oldest FROM orchestration.request_budget
        WHERE credential = of_credential AND budget = of_budget;
    IF taken + wanted > maximum AND taken > 0 THEN
        RETURN greatest((oldest + 21) * width - now_at, 0.001);
    END IF;
    INSERT INTO orchestration.request_budget VALUES (of_credential, of_budget, this, wanted)
        ON CONFLICT (credential, budget, slot) DO UPDATE SET used = request_budget.used + excluded.used;
    RETURN 0;
END
$$;
DROP TABLE orchestration.change_log, orchestration.sync_history_archive, orchestration.sync_history_daily, orchestration.retention_policy;
DROP INDEX orchestration.idx_dead_letter_resolved, pipedesk.idx_drive_change_logs_received_at;
CREATE OR REPLACE FUNCTION pipedesk.refuse_log_change() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RAISE insufficient_privilege USING
        MESSAGE = format('%s on pipedesk.drive_change_logs: what was received never changes.', TG_OP);
END
$$;

DELETE FROM orchestration.sync_schedule WHERE NOT declared OR mode <> 'delta';
ALTER TABLE orchestration.sync_schedule
    DROP COLUMN declared,
    DROP COLUMN dagster_status,
    DROP COLUMN problem,
    ADD CONSTRAINT sync_schedule_once UNIQUE (crm_source, model_name, mode);
COMMENT ON TABLE orchestration.sync_schedule IS
    'A row per entity that is synced by schedule. Only `enabled` decides anything: `warehouse schedule on|off`.';
COMMENT ON COLUMN orchestration.sync_schedule.mode IS 'What a scheduled run reads. The declared entities have `delta`.';
COMMENT ON COLUMN orchestration.sync_schedule.name IS 'CRM and entity.';
COMMENT ON COLUMN orchestration.sync_schedule.every IS 'The cadence, in units of `period`; declared with the entity.';
COMMENT ON COLUMN orchestration.sync_schedule.recurrence_type IS
    'interval (every, period) or crontab; the declared entities have intervals.';
COMMENT ON COLUMN orchestration.sync_schedule.last_run IS 'The last tick that asked for this entity.';
COMMENT ON COLUMN orchestration.sync_schedule.next_run IS 'The tick after that; null before the first.';
COMMENT ON COLUMN orchestration.sync_schedule.dagster_schedule_name IS 'The schedule in Dagster that asks for it.';
COMMENT ON COLUMN orchestration.sync_schedule.enabled IS 'The switch. Never changed by a migration.';

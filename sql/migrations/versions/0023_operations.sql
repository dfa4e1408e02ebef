-- A row that a migration wrote is of the entity's declaration. Others may be added, of any recurrence.
ALTER TABLE orchestration.sync_schedule
    DROP CONSTRAINT sync_schedule_once,
    ADD COLUMN declared boolean NOT NULL DEFAULT false,
    ADD COLUMN dagster_status varchar(16) CHECK (dagster_status IN ('running', 'stopped')),
    ADD COLUMN problem text;
UPDATE orchestration.sync_schedule SET declared = true WHERE mode = 'delta' AND dagster_schedule_name IS NOT NULL;
CREATE UNIQUE INDEX sync_schedule_declared_once ON orchestration.sync_schedule (crm_source, model_name, mode)
    WHERE declared;
COMMENT ON TABLE orchestration.sync_schedule IS
    'What is synced by schedule. The declared deltas are asked for by schedules of Dagster, all other rows by its sensor schedule_rows.';
COMMENT ON COLUMN orchestration.sync_schedule.declared IS
    'Whether the row is of the entity''s cadence; a migration keeps it in step. Others are added by warehouse schedule add, or in SQL.';
COMMENT ON COLUMN orchestration.sync_schedule.mode IS
    'What a run reads. delta: what is new; full: everything; force7: what changed in seven days, also where the warehouse has newer values.';
COMMENT ON COLUMN orchestration.sync_schedule.name IS 'CRM, entity, and the mode if it is another one than delta.';
COMMENT ON COLUMN orchestration.sync_schedule.every IS 'The interval, in units of `period`.';
COMMENT ON COLUMN orchestration.sync_schedule.recurrence_type IS
    'interval (every, period), or crontab in the time zone of the business; the declared rows have intervals.';
COMMENT ON COLUMN orchestration.sync_schedule.last_run IS
    'The time for which this row was last asked for. Runs that somebody started by hand do not count.';
COMMENT ON COLUMN orchestration.sync_schedule.next_run IS
    'When it is asked for next; null where it is switched off, here or in Dagster, or cannot be run.';
COMMENT ON COLUMN orchestration.sync_schedule.dagster_schedule_name IS
    'The schedule in Dagster that asks for it; null where the sensor schedule_rows does.';
COMMENT ON COLUMN orchestration.sync_schedule.dagster_status IS
    'Whether that schedule, or that sensor, is on in Dagster: running or stopped. Null before the sensor has looked.';
COMMENT ON COLUMN orchestration.sync_schedule.problem IS
    'Why it cannot be run, such as settings that are missing; null where it can.';
COMMENT ON COLUMN orchestration.sync_schedule.enabled IS
    'The switch. A migration never changes it; declared rows of full and force7 come switched off.';

-- How long each kind of data is kept. `sql/defaults/retention.sql` adds the rows; the code knows the kinds.
CREATE TABLE orchestration.retention_policy (
    kind         text        PRIMARY KEY CHECK (kind ~ '^[a-z][a-z0-9_]{1,62}$'),
    about        text        NOT NULL,
    keep_days    integer     CHECK (keep_days > 0),
    last_run     timestamptz,
    last_removed bigint,
    removed      bigint      NOT NULL DEFAULT 0,
    problem      text
);
COMMENT ON TABLE orchestration.retention_policy IS
    'How long each kind of data is kept; the job daily_retention and warehouse retention go by it.';
COMMENT ON COLUMN orchestration.retention_policy.kind IS 'The kind of data, as warehouse retention plan lists it.';
COMMENT ON COLUMN orchestration.retention_policy.about IS 'What it is, and what becomes of it.';
COMMENT ON COLUMN orchestration.retention_policy.keep_days IS
    'After so many days it goes; null keeps it for ever. May be edited, and a migration leaves it as it is.';
COMMENT ON COLUMN orchestration.retention_policy.last_run IS 'When it was last looked through to the end.';
COMMENT ON COLUMN orchestration.retention_policy.last_removed IS 'How many rows went then.';
COMMENT ON COLUMN orchestration.retention_policy.removed IS 'How many went in all.';
COMMENT ON COLUMN orchestration.retention_policy.problem IS
    'Why it was not looked through to the end; null where it was.';

-- Runs that were moved out of sync_history, as they were.
CREATE TABLE orchestration.sync_history_archive (LIKE orchestration.sync_history);
ALTER TABLE orchestration.sync_history_archive
    ADD PRIMARY KEY (id),
    ADD COLUMN archived_at timestamptz NOT NULL DEFAULT now();
CREATE INDEX idx_sync_history_archive_crm_type
    ON orchestration.sync_history_archive (crm_source, sync_type, id DESC);
CREATE INDEX idx_sync_history_archive_start_time ON orchestration.sync_history_archive (start_time);
COMMENT ON TABLE orchestration.sync_history_archive IS
    'Runs that were moved out of sync_history by age. The newest of each kind of an entity''s runs stays there.';
DO $$
DECLARE
    column_ record;
BEGIN
    FOR column_ IN SELECT attname FROM pg_attribute
        WHERE attrelid = 'orchestration.sync_history'::regclass AND attnum > 0 AND NOT attisdropped
    LOOP
        EXECUTE format('COMMENT ON COLUMN orchestration.sync_history_archive.%I IS %L',
            column_.attname, 'As in sync_history.');
    END LOOP;
END
$$;
COMMENT ON COLUMN orchestration.sync_history_archive.archived_at IS 'When it was moved.';

-- The sums of the runs that were moved. A run is counted here from the moment on in which it leaves sync_history.
CREATE TABLE orchestration.sync_history_daily (
    day               date    NOT NULL,
    crm_source        text    NOT NULL,
    sync_type         text    NOT NULL,
    runs              bigint  NOT NULL,
    succeeded         bigint  NOT NULL,
    partial           bigint  NOT NULL,
    failed            bigint  NOT NULL,
    cancelled         bigint  NOT NULL,
    seconds           numeric NOT NULL,
    longest_seconds   numeric NOT NULL,
    records_processed bigint  NOT NULL,
    records_created   bigint  NOT NULL,
    records_updated   bigint  NOT NULL,
    records_failed    bigint  NOT NULL,
    api_calls         bigint  NOT NULL,
    PRIMARY KEY (day, crm_source, sync_type)
);
COMMENT ON TABLE orchestration.sync_history_daily IS
    'Sums by day of the runs that are no longer in sync_history; the view sync_metrics_daily has these and the others.';
COMMENT ON COLUMN orchestration.sync_history_daily.day IS 'The day on which the runs began, in UTC.';
COMMENT ON COLUMN orchestration.sync_history_daily.crm_source IS 'The CRM.';
COMMENT ON COLUMN orchestration.sync_history_daily.sync_type IS 'The entity.';
COMMENT ON COLUMN orchestration.sync_history_daily.runs IS 'How many; no dry runs, and none that was refused before it began.';
COMMENT ON COLUMN orchestration.sync_history_daily.succeeded IS 'How many were a success.';
COMMENT ON COLUMN orchestration.sync_history_daily.partial IS 'How many left something out.';
COMMENT ON COLUMN orchestration.sync_history_daily.failed IS 'How many failed.';
COMMENT ON COLUMN orchestration.sync_history_daily.cancelled IS 'How many were stopped.';
COMMENT ON COLUMN orchestration.sync_history_daily.seconds IS 'How long they took together.';
COMMENT ON COLUMN orchestration.sync_history_daily.longest_seconds IS 'How long the longest took.';
COMMENT ON COLUMN orchestration.sync_history_daily.records_processed IS 'Records that were read.';
COMMENT ON COLUMN orchestration.sync_history_daily.records_created IS 'Rows that were new.';
COMMENT ON COLUMN orchestration.sync_history_daily.records_updated IS 'Rows that changed.';
COMMENT ON COLUMN orchestration.sync_history_daily.records_failed IS 'Records that went into the dead letters.';
COMMENT ON COLUMN orchestration.sync_history_daily.api_calls IS 'Requests to the vendor.';

CREATE OR REPLACE VIEW orchestration.sync_metrics_daily AS
    WITH run AS (
        SELECT (h.start_time AT TIME ZONE 'UTC')::date AS day, h.crm_source, h.sync_type, 1::bigint AS runs,
            (h.status = 'success')::integer AS succeeded, (h.status = 'partial')::integer AS partial,
            (h.status = 'failed')::integer AS failed, (h.status = 'cancelled')::integer AS cancelled,
            (h.end_time IS NOT NULL)::integer AS ended, extract(epoch FROM h.end_time - h.start_time) AS seconds,
            extract(epoch FROM h.end_time - h.start_time) AS longest_seconds, h.records_processed, h.records_created,
            h.records_updated, h.records_failed, (h.performance_metrics ->> 'total_api_calls')::bigint AS api_calls
        FROM orchestration.sync_history AS h
        WHERE NOT coalesce((h.configuration ->> 'dry_run')::boolean, false)
            AND coalesce(h.configuration ->> 'mode', '') <> 'refused'
        UNION ALL
        SELECT d.day, d.crm_source, d.sync_type, d.runs, d.succeeded, d.partial, d.failed, d.cancelled, d.runs,
            d.seconds, d.longest_seconds, d.records_processed, d.records_created, d.records_updated, d.records_failed,
            d.api_calls
        FROM orchestration.sync_history_daily AS d
    )
    SELECT r.day, r.crm_source::varchar(50) AS crm_source, r.sync_type::varchar(100) AS sync_type,
        sum(r.runs)::bigint AS runs,
        sum(r.succeeded)::bigint AS succeeded,
        sum(r.partial)::bigint AS partial,
        sum(r.failed)::bigint AS failed,
        sum(r.cancelled)::bigint AS cancelled,
        round(sum(r.seconds) / nullif(sum(r.ended), 0), 3) AS average_seconds,
        round(max(r.longest_seconds), 3) AS longest_seconds,
        sum(r.records_processed)::bigint AS records_processed,
        sum(r.records_created)::bigint AS records_created,
        sum(r.records_updated)::bigint AS records_updated,
        sum(r.records_failed)::bigint AS records_failed,
        round(sum(r.records_failed)::numeric / nullif(sum(r.records_processed), 0), 6) AS error_rate,
        coalesce(sum(r.api_calls), 0)::bigint AS api_calls,
        round(60 * sum(r.api_calls)::numeric / nullif(sum(r.seconds), 0), 1) AS api_calls_per_minute
    FROM run AS r
    GROUP BY 1, 2, 3;

-- By which what is old is found.
CREATE INDEX idx_dead_letter_resolved ON orchestration.dead_letter (resolved_at) WHERE resolved_at IS NOT NULL;
CREATE INDEX idx_drive_change_logs_received_at ON pipedesk.drive_change_logs (received_at);

-- Notifications are never changed; what is past its age is deleted by whoever says that it does so.
CREATE OR REPLACE FUNCTION pipedesk.refuse_log_change() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF TG_OP = 'DELETE' AND current_setting('warehouse.retention', true) = 'on' THEN
        RETURN NULL;
    END IF;
    RAISE insufficient_privilege USING
        MESSAGE = format('%s on pipedesk.drive_change_logs: what was received never changes.', TG_OP);
END
$$;

-- Whose budget it is and how much it allows, so that one can see how much of it is left.
ALTER TABLE orchestration.request_budget
    ADD COLUMN crm_source text,
    ADD COLUMN maximum integer,
    ADD COLUMN window_seconds double precision;
COMMENT ON COLUMN orchestration.request_budget.crm_source IS 'The CRM that took from it last; several may share one.';
COMMENT ON COLUMN orchestration.request_budget.maximum IS 'How many requests its window allows.';
COMMENT ON COLUMN orchestration.request_budget.window_seconds IS 'How long its window is.';

-- The same as before, with a name for whose it is.
DROP FUNCTION orchestration.take_requests(text, text, integer, double precision, integer);
CREATE FUNCTION orchestration.take_requests(
    of_credential text, of_budget text, of_maximum integer, of_window_seconds double precision, wanted integer,
    of_crm text DEFAULT NULL
) RETURNS double precision
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    width  double precision := of_window_seconds / 20;
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
    IF taken + wanted > of_maximum AND taken > 0 THEN
        RETURN greatest((oldest + 21) * width - now_at, 0.001);
    END IF;
    INSERT INTO orchestration.request_budget (credential, budget, slot, used, crm_source, maximum, window_seconds)
        VALUES (of_credential, of_budget, this, wanted, of_crm, of_maximum, of_window_seconds)
        ON CONFLICT (credential, budget, slot) DO UPDATE SET used = request_budget.used + excluded.used,
            crm_source = excluded.crm_source, maximum = excluded.maximum, window_seconds = excluded.window_seconds;
    RETURN 0;
END
$$;

-- What changed in the rows of the entities that ask for it, written by the load that changed it.
CREATE TABLE orchestration.change_log (
    id              bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    table_name      text        NOT NULL,
    record_key      text        NOT NULL,
    column_name     text        NOT NULL,
    old_value       text,
    new_value       text,
    sync_history_id bigint      NOT NULL,
    changed_at      timestamptz NOT NULL DEFAULT now()
);
REVOKE ALL ON orchestration.change_log FROM PUBLIC;
CREATE INDEX idx_change_log_record ON orchestration.change_log (table_name, record_key);
-- Rows come in the order of time.
CREATE INDEX idx_change_log_changed_at ON orchestration.change_log USING brin (changed_at);
COMMENT ON TABLE orchestration.change_log IS
    'What changed in rows of the entities that are declared with change_log, a row for each column. Holds personal data.';
COMMENT ON COLUMN orchestration.change_log.id IS 'Key.';
COMMENT ON COLUMN orchestration.change_log.table_name IS 'The table, as its asset is named.';
COMMENT ON COLUMN orchestration.change_log.record_key IS 'The key of the row, its parts apart by blanks.';
COMMENT ON COLUMN orchestration.change_log.column_name IS
    'The column; of a member of custom_properties its name behind a dot.';
COMMENT ON COLUMN orchestration.change_log.old_value IS 'What stood there, as text; null where nothing did.';
COMMENT ON COLUMN orchestration.change_log.new_value IS 'What stands there since.';
COMMENT ON COLUMN orchestration.change_log.sync_history_id IS 'The run that changed it.';
COMMENT ON COLUMN orchestration.change_log.changed_at IS 'When that run began to load.';

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

-- Whether a run asked for all that is new, by its configuration: it would be an orchestration.good_run if it ended well.
-- Null where no mode is noted. With RETURN it needs no search_path and is inlined.
CREATE OR REPLACE FUNCTION orchestration.asks_for_news(configuration jsonb) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN configuration ->> 'mode' IN ('delta', 'full')
    AND coalesce(configuration ->> 'dry_run', 'false') = 'false'
    AND coalesce(configuration ->> 'max_records', '0') = '0'
    AND configuration ->> 'narrowed' IS DISTINCT FROM 'true';

-- Of each credential and budget how many requests were made in the window that ends at a time. A window counts as the
-- loader counts it: 21 of its twentieths, the last of which has begun.
CREATE OR REPLACE FUNCTION orchestration.used_budgets(
    at timestamptz,
    OUT crm_source text, OUT budget text, OUT used bigint, OUT maximum integer, OUT window_seconds double precision
) RETURNS SETOF record
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT (array_agg(b.crm_source ORDER BY b.slot DESC))[1], b.budget, sum(b.used),
        (array_agg(b.maximum ORDER BY b.slot DESC))[1], max(b.window_seconds)
    FROM orchestration.request_budget AS b
        CROSS JOIN LATERAL (SELECT floor(extract(epoch FROM used_budgets.at) / (b.window_seconds / 20)) AS slot) AS now
    WHERE b.slot BETWEEN now.slot - 20 AND now.slot
    GROUP BY b.credential, b.budget
$$;

-- The last two runs of each kind of the entities that schedules ask for, each with what is usual at such a time, for the
-- alerts `volume` and `duration`. `figure` is what is compared: `records` that were read, or `seconds` that it took.
--
-- A delta is compared with the deltas of eight weeks that began within 35 minutes of the same time of the week, where the
-- business is; where these are fewer than six, with those at that time on working days, or on weekends; after the clocks
-- were changed with those at the same time in UTC; else with all. A read of everything is compared with the thirty
-- before it: what a table holds does not depend on the day.
-- Everything is of the logarithm: `value` of the run's figure, `usual` the median of the others', `spread` 1.4826 times
-- their median absolute deviation; `hour_spread` the same of all such days, as eight figures may be alike by chance.
-- `alike` says that they are of the same time of the week, or reads of everything. For six weeks after the clocks were
-- changed a delta that is not hourly has too few such, and others are off by as much as an hour of the business is.
CREATE OR REPLACE FUNCTION orchestration.compared_runs(
    figure text, until timestamptz, zone text, crms text[],
    OUT crm text, OUT entity text, OUT mode text, OUT id bigint, OUT start_time timestamptz, OUT amount double precision,
    OUT value double precision, OUT usual double precision, OUT spread double precision,
    OUT hour_spread double precision, OUT alike boolean
) RETURNS SETOF record
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
-- The planner takes the history of all entities for a few rows, and would compare each with each: four times as slow.
SET enable_nestloop = off AS $$
    WITH sample AS MATERIALIZED (
        SELECT s.crm_source AS crm, s.model_name AS entity, g.mode, g.id, g.start_time,
            g.start_time AT TIME ZONE compared_runs.zone AS local, a.amount, ln(1.0 + a.amount) AS x,
            extract(isodow FROM g.start_time AT TIME ZONE compared_runs.zone) > 5 AS weekend,
            row_number() OVER (PARTITION BY s.crm_source, s.model_name, g.mode ORDER BY g.id DESC) AS place
        FROM orchestration.sync_schedule AS s
            JOIN orchestration.good_run AS g ON g.crm_source = s.crm_source AND g.sync_type = s.model_name
            CROSS JOIN LATERAL (
                SELECT CASE compared_runs.figure WHEN 'records' THEN g.records_processed::float8
                    WHEN 'seconds' THEN extract(epoch FROM g.end_time - g.start_time)::float8 END AS amount
            ) AS a
        WHERE s.mode = 'delta' AND s.enabled AND s.crm_source = ANY(compared_runs.crms)
            AND g.start_time BETWEEN compared_runs.until - interval '59 days' AND compared_runs.until
    ), other AS (
        SELECT r.id, r.weekend AS of_weekend, e.x, e.weekend, extract(epoch FROM r.local - e.local)::bigint AS ago,
            extract(epoch FROM r.start_time - e.start_time)::bigint AS apart
        FROM sample AS r JOIN sample AS e ON e.crm = r.crm AND e.entity = r.entity AND e.mode = r.mode AND e.id < r.id
            AND e.start_time BETWEEN r.start_time - interval '57 days' AND r.start_time - interval '1 hour'
        WHERE r.place <= 2
    ), grouped AS (
        SELECT o.id, array_agg(o.x) FILTER (WHERE mod(o.ago + 2100, 604800) <= 4200) AS week,
            array_agg(o.x) FILTER (WHERE mod(o.ago + 2100, 86400) <= 4200 AND o.weekend = o.of_weekend) AS day,
            array_agg(o.x) FILTER (WHERE mod(o.apart + 2100, 604800) <= 4200) AS utc,
            array_agg(o.x) AS every, (array_agg(o.x ORDER BY o.ago))[:30] AS newest
        FROM other AS o GROUP BY o.id
    ), compared AS (
        SELECT r.*, r.mode = 'full' OR cardinality(g.week) >= 6 AS alike, CASE
            WHEN r.mode = 'full' THEN g.newest
            WHEN cardinality(g.week) >= 6 THEN g.week
            WHEN cardinality(g.day) >= 6 THEN g.day
            WHEN cardinality(g.utc) >= 6 THEN g.utc
            WHEN cardinality(g.every) >= 20 THEN g.every END AS others,
            CASE WHEN r.mode = 'delta' AND cardinality(g.day) >= 12 THEN g.day END AS same_hour
        FROM sample AS r JOIN grouped AS g ON g.id = r.id
    )
    SELECT c.crm, c.entity, c.mode, c.id, c.start_time, c.amount, c.x, u.usual, 1.4826 * d.deviation,
        1.4826 * h.deviation, coalesce(c.alike, false)
    FROM compared AS c
        CROSS JOIN LATERAL (
            SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY o.x) AS usual FROM unnest(c.others) AS o (x)
        ) AS u
        CROSS JOIN LATERAL (
            SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY abs(o.x - u.usual)) AS deviation
            FROM unnest(c.others) AS o (x)
        ) AS d
        CROSS JOIN LATERAL (
            SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY abs(o.x - m.middle)) AS deviation
            FROM (SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY e.x) AS middle
                  FROM unnest(c.same_hour) AS e (x)) AS m
                CROSS JOIN unnest(c.same_hour) AS o (x)
        ) AS h
    WHERE cardinality(c.others) >= 6
$$;
REVOKE ALL ON FUNCTION orchestration.used_budgets(timestamptz),
    orchestration.compared_runs(text, timestamptz, text, text[]) FROM PUBLIC;

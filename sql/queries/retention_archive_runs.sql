-- Moves runs that began before %(cutoff)s, at most %(most)s and none of %(kept)s, into the archive, and adds them to the
-- sums of their days; returns how many. One statement, so a run is in one of the two tables and counted once. Sums are
-- written in the order of their key, so two that archive at once wait for each other and do not deadlock.
WITH moved AS (
    DELETE FROM orchestration.sync_history WHERE id IN (
        SELECT id FROM orchestration.sync_history
        WHERE start_time < %(cutoff)s AND status <> 'running' AND id <> ALL (%(kept)s::bigint[])
        ORDER BY start_time LIMIT %(most)s FOR UPDATE SKIP LOCKED)
    RETURNING *
), archived AS (
    INSERT INTO orchestration.sync_history_archive
        (id, crm_source, sync_type, endpoint, start_time, end_time, status, records_processed, records_created,
         records_updated, records_failed, error_message, configuration, performance_metrics, run_id, created_at)
    SELECT id, crm_source, sync_type, endpoint, start_time, end_time, status, records_processed, records_created,
        records_updated, records_failed, error_message, configuration, performance_metrics, run_id, created_at
    FROM moved
), summed AS (
    INSERT INTO orchestration.sync_history_daily AS d
        (day, crm_source, sync_type, runs, succeeded, partial, failed, cancelled, seconds, longest_seconds,
         records_processed, records_created, records_updated, records_failed, api_calls)
    SELECT (start_time AT TIME ZONE 'UTC')::date, crm_source, sync_type, count(*),
        count(*) FILTER (WHERE status = 'success'), count(*) FILTER (WHERE status = 'partial'),
        count(*) FILTER (WHERE status = 'failed'), count(*) FILTER (WHERE status = 'cancelled'),
        sum(extract(epoch FROM end_time - start_time)), max(extract(epoch FROM end_time - start_time)),
        sum(records_processed), sum(records_created), sum(records_updated), sum(records_failed),
        coalesce(sum((performance_metrics ->> 'total_api_calls')::bigint), 0)
    FROM moved
    WHERE NOT coalesce((configuration ->> 'dry_run')::boolean, false)
        AND coalesce(configuration ->> 'mode', '') <> 'refused'
    GROUP BY 1, 2, 3
    ORDER BY 1, 2, 3
    ON CONFLICT (day, crm_source, sync_type) DO UPDATE SET
        runs = d.runs + excluded.runs, succeeded = d.succeeded + excluded.succeeded,
        partial = d.partial + excluded.partial, failed = d.failed + excluded.failed,
        cancelled = d.cancelled + excluded.cancelled, seconds = d.seconds + excluded.seconds,
        longest_seconds = greatest(d.longest_seconds, excluded.longest_seconds),
        records_processed = d.records_processed + excluded.records_processed,
        records_created = d.records_created + excluded.records_created,
        records_updated = d.records_updated + excluded.records_updated,
        records_failed = d.records_failed + excluded.records_failed, api_calls = d.api_calls + excluded.api_calls
)
SELECT count(*) AS removed FROM moved

-- Until when all that was loaded can be seen: the beginning of the oldest transaction that may still commit rows, or
-- now, in until. hidden counts transactions whose beginning this user may not see.
SELECT
    least(clock_timestamp(), min(xact_start)) AS until,
    count(*) FILTER (WHERE xact_start IS NULL AND (backend_xid IS NOT NULL OR backend_xmin IS NOT NULL)) AS hidden
FROM pg_stat_activity
WHERE datname = current_database()
    AND pid <> pg_backend_pid()
    AND coalesce(backend_type, '') NOT IN ('autovacuum worker', 'parallel worker')

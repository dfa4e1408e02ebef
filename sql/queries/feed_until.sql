-- Until when everything that is committed can be read: rows are stamped with the start of their transaction. NULL while a
-- transaction is open whose start this user may not see; pg_read_all_stats would show it.
SELECT CASE WHEN count(*) FILTER (WHERE a.xact_start IS NULL AND (a.backend_xid IS NOT NULL OR a.backend_xmin IS NOT NULL)) = 0
    THEN least(now(), min(a.xact_start)) - interval '1 second' END AS read_until
FROM pg_stat_activity AS a
WHERE a.datname = current_database() AND a.pid <> pg_backend_pid()
    AND coalesce(a.backend_type, '') NOT IN ('autovacuum worker', 'parallel worker')

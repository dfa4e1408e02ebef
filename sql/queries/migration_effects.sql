-- What this transaction has done to each table so far: the strongest lock that it holds on it, the file that the table is
-- in, its indexes, and how often it was read as a whole and written.
SELECT c.oid, n.nspname || '.' || c.relname AS name, coalesce(pg_relation_filenode(c.oid), 0) AS file,
    coalesce((SELECT jsonb_object_agg(i.indexrelid, i.indexrelid::regclass::text)
              FROM pg_index AS i WHERE i.indrelid = c.oid), '{}') AS indexes,
    coalesce((SELECT l.mode FROM pg_locks AS l
              WHERE l.pid = pg_backend_pid() AND l.locktype = 'relation' AND l.relation = c.oid AND l.granted
              ORDER BY array_position('{AccessShareLock,RowShareLock,RowExclusiveLock,ShareUpdateExclusiveLock,ShareLock,
                                        ShareRowExclusiveLock,ExclusiveLock,AccessExclusiveLock}'::text[], l.mode) DESC
              LIMIT 1), '') AS lock,
    coalesce(pg_stat_get_xact_numscans(c.oid), 0) AS scans,
    coalesce(pg_stat_get_xact_tuples_inserted(c.oid) + pg_stat_get_xact_tuples_updated(c.oid)
             + pg_stat_get_xact_tuples_deleted(c.oid), 0) AS writes
FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'm') AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'

-- Whether a session of this database holds the advisory lock whose name is `lock`.
SELECT EXISTS (
    SELECT FROM pg_locks, (SELECT hashtextextended(%(lock)s, 0) AS hash) AS name
    WHERE locktype = 'advisory' AND objsubid = 1 AND granted
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
        AND classid = ((hash >> 32) & 4294967295)::oid AND objid = (hash & 4294967295)::oid
) AS are_read

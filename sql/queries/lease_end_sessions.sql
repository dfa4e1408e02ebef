-- End the other sessions of this database that hold the advisory lock whose name is %(key)s.
SELECT pg_terminate_backend(pid) AS ended
FROM pg_locks, (SELECT hashtextextended(%(key)s, 0) AS hash) AS name
WHERE locktype = 'advisory' AND objsubid = 1 AND granted AND pid <> pg_backend_pid()
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND classid = ((hash >> 32) & 4294967295)::oid AND objid = (hash & 4294967295)::oid

-- Until when everything that is committed can be read: rows are stamped with the start of their transaction.
SELECT least(now(), (SELECT min(a.xact_start) FROM pg_stat_activity AS a
                     WHERE a.datname = current_database() AND a.pid <> pg_backend_pid() AND a.xact_start IS NOT NULL
                         AND a.backend_type = 'client backend')) - interval '1 second' AS read_until

-- Whether a restore into this database was ended before its rows had been compared with the backup.
SELECT to_regnamespace('restore_unfinished') IS NOT NULL AS unfinished

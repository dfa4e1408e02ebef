-- A digest of how many rows were ever written to each table that who is who, the feed and the marts read, or make;
-- null where PostgreSQL does not count. A table that was truncated has another file. How far a run has read is left out.
SELECT CASE WHEN current_setting('track_counts')::boolean THEN
    (SELECT md5(string_agg(concat_ws(' ', s.relid, c.relfilenode, s.n_tup_ins + s.n_tup_upd + s.n_tup_del), ','
                           ORDER BY s.relid))
     FROM pg_stat_user_tables AS s JOIN pg_class AS c ON c.oid = s.relid
     WHERE s.schemaname NOT IN ('orchestration', 'access', 'reverse_etl') AND s.schemaname NOT LIKE 'pg\_%'
         AND (s.schemaname, s.relname) NOT IN
             (('identity', 'read_position'), ('crm', 'feed_position'), ('marts', 'position')))
END AS digest

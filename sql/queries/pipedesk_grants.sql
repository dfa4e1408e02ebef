-- What the role pipedesk_app lacks of what its policies let it do, a statement each: to read, add, change and remove, but
-- of columns of the sync. Of events, files and folders an application may say that they are deleted, and no more.
WITH asked AS (
    SELECT c.oid::regclass AS name, c.relname, p.polcmd AS command
    FROM pg_policy AS p JOIN pg_class AS c ON c.oid = p.polrelid
    WHERE c.relnamespace = 'pipedesk'::regnamespace AND p.polname LIKE 'app\_%'
), columns AS (
    SELECT a.name, w.word, a.command, array_agg(t.attname ORDER BY t.attnum) AS lacking
    FROM asked AS a
        JOIN (VALUES ('a'::"char", 'INSERT'), ('w', 'UPDATE')) AS w (command, word) ON w.command = a.command
        JOIN pg_attribute AS t ON t.attrelid = a.name AND t.attnum > 0 AND NOT t.attisdropped
            AND t.attgenerated = '' AND t.attidentity <> 'a'
    WHERE t.attname <> ALL ('{raw_data,archived,sync_hash,sync_created_at,sync_updated_at,updated_at}')
        AND (a.command = 'a' OR t.attname NOT IN ('id', 'created_at'))
        AND (a.relname NOT IN ('drive_files', 'google_drive_folders')
             OR a.command = 'w' AND t.attname IN ('deleted_at', 'deleted_by', 'delete_reason'))
        AND NOT has_column_privilege('pipedesk_app', a.name, t.attnum, w.word)
    GROUP BY a.name, w.word, a.command
)
SELECT format('GRANT SELECT ON %s TO pipedesk_app', name) AS statement FROM asked
WHERE command = 'r' AND NOT has_table_privilege('pipedesk_app', name, 'SELECT')
UNION ALL
SELECT format('GRANT DELETE ON %s TO pipedesk_app', name) FROM asked
WHERE command = 'd' AND NOT has_table_privilege('pipedesk_app', name, 'DELETE')
UNION ALL
SELECT format('GRANT %s (%s) ON %s TO pipedesk_app', word,
              (SELECT string_agg(quote_ident(one), ', ') FROM unnest(lacking) AS one), name)
FROM columns
UNION ALL
SELECT format('GRANT SELECT ON %s TO pipedesk_app', c.oid::regclass) FROM pg_class AS c
WHERE c.relnamespace = 'pipedesk'::regnamespace AND c.relkind = 'v' AND c.reloptions @> '{security_invoker=true}'
    AND NOT has_table_privilege('pipedesk_app', c.oid, 'SELECT')

-- What the schema pipedesk lacks of what sql/schemas/pipedesk.sql makes, a sentence each: triggers, row-level security,
-- functions, views and foreign keys.
WITH tables AS (
    SELECT c.oid, c.relname, c.relrowsecurity,
        EXISTS (SELECT FROM pg_attribute AS a WHERE a.attrelid = c.oid AND a.attname = 'sync_hash'
                AND NOT a.attisdropped) AS synced,
        c.relname IN ('calendar_events', 'drive_files', 'google_drive_folders') AS google
    FROM pg_class AS c
    WHERE c.relnamespace = to_regnamespace('pipedesk') AND c.relkind IN ('r', 'p') AND NOT c.relispartition
), triggers (relname, name) AS (
    SELECT t.relname::text, w.name FROM tables AS t, unnest('{touch,mark_deleted}'::text[]) AS w (name) WHERE t.synced
    UNION ALL
    SELECT t.relname::text, w.name FROM tables AS t, unnest('{keep_mirrored,keep_owned}'::text[]) AS w (name)
    WHERE t.synced AND NOT t.google
    UNION ALL
    VALUES ('leads', 'track_interaction'), ('leads', 'follow_interaction'), ('leads', 'audit_deletion'),
        ('companies', 'audit_deletion'), ('contacts', 'audit_deletion'), ('master_deals', 'audit_deletion'),
        ('drive_files', 'audit_deletion'), ('google_drive_folders', 'audit_deletion'),
        ('calendar_sync_states', 'touch'), ('drive_webhook_channels', 'touch'), ('audit_logs', 'refuse_change'),
        ('drive_change_logs', 'refuse_change'), ('drive_structure_nodes', 'refuse_cycle')
)
SELECT format('pipedesk.%s has no trigger %s, or it is off', w.relname, w.name) AS sentence
FROM triggers AS w
WHERE NOT EXISTS (
    SELECT FROM pg_trigger AS g JOIN tables AS t ON t.oid = g.tgrelid
    WHERE t.relname = w.relname AND g.tgname = w.name
        AND CASE WHEN w.name IN ('keep_owned', 'refuse_change') THEN g.tgenabled = 'A' ELSE g.tgenabled IN ('O', 'A') END)
UNION ALL
SELECT format('pipedesk.%s has no row-level security', t.relname) FROM tables AS t
WHERE NOT t.relrowsecurity OR NOT EXISTS (SELECT FROM pg_policy AS p WHERE p.polrelid = t.oid AND p.polname = 'others')
UNION ALL
SELECT format('there is no function pipedesk.%s', f.name)
FROM unnest('{"qualify_lead(uuid,jsonb,uuid)","soft_delete(text,text,uuid,text)","restore(text,text,uuid,text)",may(text),
    current_user_id(),"render_node_name(text,jsonb)"}'::text[]) AS f (name)
WHERE to_regprocedure('pipedesk.' || f.name) IS NULL
UNION ALL
SELECT format('there is no view pipedesk.%s', v.name)
FROM unnest('{sales_view,leads_v,primary_contacts,leads_active,companies_active,contacts_active,master_deals_active,
    drive_files_active,google_drive_folders_active,google_drive_folders_v,calendar_recurrences,
    drive_change_cursors}'::text[]) AS v (name)
WHERE to_regclass('pipedesk.' || v.name) IS NULL
UNION ALL
SELECT format('pipedesk.%s has %s foreign keys instead of %s', w.relname, w.found, w.wanted)
FROM (
    SELECT k.relname, k.wanted, count(c.oid) AS found
    FROM (VALUES ('leads', 5), ('master_deals', 1), ('lead_contacts', 2), ('lead_tags', 2), ('lead_activity_stats', 1),
              ('drive_structure_nodes', 2)) AS k (relname, wanted)
        LEFT JOIN pg_constraint AS c ON c.conrelid = to_regclass('pipedesk.' || k.relname) AND c.contype = 'f'
    GROUP BY k.relname, k.wanted
) AS w
WHERE w.found < w.wanted
ORDER BY 1

-- The folder of a company, lead, deal or contact that is there already, made by PipeDesk or by hand. Of several the one
-- that lies in none of the others, then the oldest.
SELECT f.folder_id
FROM pipedesk.google_drive_folders_v AS f
WHERE f.entity_type = %(type)s AND f.entity_id = %(id)s AND f.deleted_at IS NULL
ORDER BY f.parent_folder_id IN (
        SELECT o.folder_id FROM pipedesk.google_drive_folders_v AS o
        WHERE o.entity_type = %(type)s AND o.entity_id = %(id)s
    ) NULLS FIRST, f.created_at, f.folder_id
LIMIT 1

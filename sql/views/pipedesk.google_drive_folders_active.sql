-- Folders of Google Drive that are not deleted.
SELECT id, folder_id, folder_url, entity_id, entity_type, created_at
FROM pipedesk.google_drive_folders
WHERE deleted_at IS NULL AND NOT archived

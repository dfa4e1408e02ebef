-- Files of Google Drive that are not deleted.
SELECT id, file_id, parent_folder_id, name, mime_type, size, created_at
FROM pipedesk.drive_files
WHERE deleted_at IS NULL AND NOT archived

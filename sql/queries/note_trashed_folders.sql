-- Write who trashed folders and why.
UPDATE pipedesk.google_drive_folders SET deleted_by = %(by)s, delete_reason = %(why)s
WHERE folder_id = ANY(%(ids)s) AND archived

-- Write who trashed files and why.
UPDATE pipedesk.drive_files SET deleted_by = %(by)s, delete_reason = %(why)s
WHERE file_id = ANY(%(ids)s) AND archived

-- Where the sync of Google Drive stands in the log of changes, for files and for folders; no drive_id is the user's own.
SELECT DISTINCT ON (sync_type)
    sync_type,
    nullif(configuration -> 'state' ->> 'drive_id', '') AS drive_id,
    configuration -> 'state' ->> 'page_token' AS page_token,
    end_time AS updated_at
FROM orchestration.sync_history
WHERE crm_source = 'gdrive' AND status IN ('success', 'partial') AND jsonb_typeof(configuration -> 'state') = 'object'
ORDER BY sync_type, id DESC

-- The imports of a file that were not undone, the unfinished one first.
--
-- organization_id, hash, sheet
SELECT * FROM crm.lead_import
WHERE organization_id = %(organization_id)s AND file_hash = %(hash)s AND sheet = %(sheet)s AND status <> 'undone'
ORDER BY status = 'running' DESC, started_at DESC

-- Deals that are not deleted.
SELECT id, company_id, client_name, updated_at
FROM pipedesk.master_deals
WHERE deleted_at IS NULL AND NOT archived

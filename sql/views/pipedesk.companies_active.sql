-- Companies that are not deleted.
SELECT id, name, cnpj, updated_at
FROM pipedesk.companies
WHERE deleted_at IS NULL AND NOT archived

-- Contacts that are not deleted.
SELECT id, company_id, name, email, phone, phone_e164, role, updated_at
FROM pipedesk.contacts
WHERE deleted_at IS NULL AND NOT archived

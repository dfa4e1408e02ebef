-- The rows of an import that changed leads which it had not made, newest first.
--
-- organization_id, import_id
SELECT r.row_number, r.lead_id::text AS lead_id, r.changes FROM crm.lead_import_row AS r
WHERE r.organization_id = %(organization_id)s AND r.import_id = %(import_id)s AND r.outcome = 'updated'
    AND r.lead_id IS NOT NULL
    AND NOT EXISTS (SELECT FROM crm.lead_import_row AS c
                    WHERE c.organization_id = r.organization_id AND c.import_id = r.import_id AND c.lead_id = r.lead_id
                        AND c.outcome = 'created')
ORDER BY r.lead_id, r.row_number DESC

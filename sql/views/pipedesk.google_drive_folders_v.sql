-- Folders of Google Drive and the record that each belongs to: from PipeDesk's table (drive_folder_links), else from
-- drive_applied_nodes for folders made from a template here, else from the properties that Drive shows. An id column is
-- null unless the row it refers to exists.
SELECT
    f.folder_id,
    f.name,
    f.folder_url,
    f.parent_folder_id,
    f.created_at,
    f.deleted_at,
    owned.entity_type,
    owned.entity_id,
    lead.id AS lead_id,
    company.id AS company_id,
    deal.id AS master_deal_id,
    contact.id AS contact_id
FROM pipedesk.google_drive_folders AS f
    LEFT JOIN LATERAL (
        SELECT l.entity_type, l.entity_id FROM pipedesk.drive_folder_links AS l
        WHERE l.folder_id = f.folder_id AND l.entity_id IS NOT NULL AND NOT l.archived
        ORDER BY l.id DESC LIMIT 1
    ) AS link ON true
    LEFT JOIN pipedesk.drive_applied_nodes AS made ON made.folder_id = f.folder_id
    CROSS JOIN LATERAL (
        SELECT
            CASE WHEN link.entity_id IS NOT NULL THEN link.entity_type
                WHEN made.entity_id IS NOT NULL THEN made.entity_type ELSE f.entity_type END AS entity_type,
            coalesce(link.entity_id, made.entity_id, f.entity_id) AS entity_id
    ) AS owned
    CROSS JOIN LATERAL (
        SELECT CASE WHEN owned.entity_id ~* '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' THEN owned.entity_id::uuid END
            AS id
    ) AS owner
    LEFT JOIN pipedesk.leads AS lead ON owned.entity_type = 'lead' AND lead.id = owner.id
    LEFT JOIN pipedesk.companies AS company ON owned.entity_type = 'company' AND company.id = owner.id
    LEFT JOIN pipedesk.master_deals AS deal ON owned.entity_type = 'deal' AND deal.id = owner.id
    LEFT JOIN pipedesk.contacts AS contact ON owned.entity_type = 'contact' AND contact.id = owner.id

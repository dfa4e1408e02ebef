-- salesrabbit_lead under the names that the schema document gives it; created_at and updated_at are those of the sync.
SELECT
    id,
    lead_hash AS "leadHash",
    disposition_id AS "dispositionId",
    prospect_name AS "prospectName",
    prospect_phone AS "prospectPhone",
    prospect_email AS "prospectEmail",
    prospect_address AS "prospectAddress",
    latitude,
    longitude,
    created_by AS "createdBy",
    created_at AS "createdAt",
    last_modified AS "lastModified",
    appointment_type AS "appointmentType",
    appointment,
    custom_fields AS "customFields",
    files,
    sync_created_at AS created_at,
    sync_updated_at AS updated_at
FROM public.salesrabbit_lead
WHERE NOT archived

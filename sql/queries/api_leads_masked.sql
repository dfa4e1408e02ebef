-- Leads as the schema masked shows them, with the columns of api_lead.
--
-- ids
SELECT l.id, l.first_name, l.last_name, l.email, l.phone, l.status, l.lead_score, l.lead_score_factors::text,
    l.source, l.source_metadata::text, l.tags, l.timezone, l.division, l.postal_code, l.owner_id, l.value_usd, l.consent::text,
    l.status_changed_at, l.created_at, l.updated_at, l.golden_id
FROM masked.crm_leads AS l
WHERE l.id = ANY (%(ids)s::uuid[])

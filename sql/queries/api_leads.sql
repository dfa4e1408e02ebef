-- A page of leads, the newest first; the filter is that of segments.
--
-- filter, size, before, before_id
SELECT l.id, l.first_name, l.last_name, l.email, l.phone, l.status, l.lead_score, l.lead_score_factors::text,
    l.source, l.source_metadata::text, l.tags, l.timezone, l.division, l.postal_code, l.owner_id, l.value_usd, l.consent::text,
    l.status_changed_at, l.created_at, l.updated_at, l.golden_id
FROM crm.list_leads(%(filter)s::jsonb, %(size)s, %(before)s::timestamptz, %(before_id)s::uuid) AS l

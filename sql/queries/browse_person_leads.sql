-- The leads of a person in the visitor's organization, below row-level security.
--
-- person
SELECT l.id, l.first_name, l.last_name, l.status, l.lead_score, l.source, l.value_usd, l.created_at, l.deleted_at,
    l.erased_at
FROM crm.leads AS l
WHERE l.golden_id = %(person)s ORDER BY l.created_at DESC LIMIT 20

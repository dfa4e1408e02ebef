-- A lead that is not deleted, with its ETag, which changes with anything in it.
--
-- id
SELECT l.id, l.first_name, l.last_name, l.email, l.phone, l.status, l.lead_score, l.lead_score_factors::text,
    l.source, l.source_metadata::text, l.tags, l.timezone, l.division, l.postal_code, l.owner_id, l.value_usd, l.consent::text,
    l.status_changed_at, l.created_at, l.updated_at, l.golden_id,
    left(encode(sha256(convert_to(l::text, 'UTF8')), 'hex'), 32) AS etag
FROM crm.leads AS l
WHERE l.id = %(id)s AND l.deleted_at IS NULL

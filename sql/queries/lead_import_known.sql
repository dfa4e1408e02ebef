-- The live leads that share a phone number or an e-mail address with a batch of rows, locked; no more than `crowd` of one
-- key. Runs as crm_definer, for which lower() and ? are found by their indexes: `organization_id` is asked for here.
--
-- organization_id, phones, emails (lower case), crowd
WITH wanted AS (
    SELECT found.id FROM unnest(%(phones)s::text[]) AS key (phone)
        CROSS JOIN LATERAL (
            SELECT l.id FROM crm.leads AS l
            WHERE l.organization_id = %(organization_id)s AND l.phone = key.phone AND l.deleted_at IS NULL) AS found
    UNION
    SELECT found.id FROM unnest(%(emails)s::text[]) AS key (email)
        CROSS JOIN LATERAL (
            SELECT l.id FROM crm.leads AS l
            WHERE l.organization_id = %(organization_id)s AND lower(l.email) = key.email AND l.email IS NOT NULL
                AND l.deleted_at IS NULL
            LIMIT %(crowd)s) AS found
    UNION
    SELECT found.id FROM unnest(%(phones)s::text[]) AS key (phone)
        CROSS JOIN LATERAL (
            SELECT l.id FROM crm.leads AS l
            WHERE l.organization_id = %(organization_id)s AND l.source_metadata ? 'shared_phones'
                AND l.source_metadata -> 'shared_phones' ? key.phone AND l.deleted_at IS NULL
            LIMIT %(crowd)s) AS found)
SELECT l.id::text, l.first_name, l.last_name, l.email, l.phone, l.status, l.source, l.source_metadata, l.tags, l.timezone,
       l.division, l.postal_code, l.owner_id::text, l.value_usd, l.consent, l.created_at
FROM crm.leads AS l JOIN wanted USING (id)
WHERE l.organization_id = %(organization_id)s AND l.deleted_at IS NULL
ORDER BY l.created_at, l.id
FOR UPDATE OF l

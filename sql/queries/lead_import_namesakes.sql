-- Of numbers and addresses that very many leads share: the leads that also have one of these names. Runs as crm_definer.
--
-- organization_id, phones, emails (lower case), first_names and last_names (lower case, empty for none)
SELECT l.id::text, l.first_name, l.last_name, l.email, l.phone, l.status, l.source, l.source_metadata, l.tags, l.timezone,
       l.division, l.postal_code, l.owner_id::text, l.value_usd, l.consent, l.created_at
FROM crm.leads AS l
WHERE l.organization_id = %(organization_id)s AND l.deleted_at IS NULL
    AND (lower(l.email) = ANY (%(emails)s::text[])
         OR (l.source_metadata ? 'shared_phones' AND l.source_metadata -> 'shared_phones' ?| %(phones)s::text[]))
    AND lower(coalesce(l.first_name, '')) = ANY (%(first_names)s::text[])
    AND lower(coalesce(l.last_name, '')) = ANY (%(last_names)s::text[])
ORDER BY l.created_at, l.id
FOR UPDATE OF l

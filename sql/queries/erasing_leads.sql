-- Id and organization of the leads of a person, deleted ones too: by identity, by the number or the address, whether it is the
-- lead's own or a further one. A number that it shares tells nothing of it while another live lead has it as its own. Reads
-- all leads, of all organizations; runs as crm_definer.
--
-- persons, emails (lower case), phones, leads (ids as texts)
SELECT l.id, l.organization_id FROM crm.leads AS l
WHERE l.erased_at IS NULL AND (
    l.golden_id = ANY (%(persons)s::uuid[]) OR l.id = ANY (%(leads)s::text[]::uuid[])
    OR lower(l.email) = ANY (%(emails)s::text[]) OR l.phone = ANY (%(phones)s::text[])
    OR lower((l.source_metadata -> 'other_emails')::text)::jsonb ?| %(emails)s::text[]
    OR l.source_metadata -> 'other_phones' ?| %(phones)s::text[]
    OR l.source_metadata -> 'shared_phones' ?| %(phones)s::text[] AND EXISTS (
        SELECT FROM unnest(%(phones)s::text[]) AS p
        WHERE l.source_metadata -> 'shared_phones' ? p AND NOT EXISTS (
            SELECT FROM crm.leads AS o
            WHERE o.organization_id = l.organization_id AND o.phone = p AND o.deleted_at IS NULL AND o.id <> l.id)))
ORDER BY l.created_at, l.id

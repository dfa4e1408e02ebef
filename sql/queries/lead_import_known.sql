-- The live leads that share a phone number or an e-mail address with a batch of rows, locked; no more than `crowd` of one
-- key. `also`: the keys that only the lead's person has, by identity. Runs as crm_definer, for which lower() and ? are found
-- by their indexes: `organization_id` is asked for here.
--
-- organization_id, phones, emails (lower case), crowd
--
-- OFFSET 0: the planner expects one in two hundred people to have a number, and would read them until it finds enough. Each
-- LIMIT keeps it from reading all leads at once.
WITH wanted AS (
    SELECT found.id, NULL AS also FROM unnest(%(phones)s::text[]) AS key (phone)
        CROSS JOIN LATERAL (
            SELECT l.id FROM crm.leads AS l
            WHERE l.organization_id = %(organization_id)s AND l.phone = key.phone AND l.deleted_at IS NULL) AS found
    UNION
    SELECT found.id, NULL FROM unnest(%(emails)s::text[]) AS key (email)
        CROSS JOIN LATERAL (
            SELECT l.id FROM crm.leads AS l
            WHERE l.organization_id = %(organization_id)s AND lower(l.email) = key.email AND l.email IS NOT NULL
                AND l.deleted_at IS NULL
            LIMIT %(crowd)s) AS found
    UNION
    SELECT found.id, NULL FROM unnest(%(phones)s::text[]) AS key (phone)
        CROSS JOIN LATERAL (
            SELECT l.id FROM crm.leads AS l
            WHERE l.organization_id = %(organization_id)s AND l.source_metadata ? 'shared_phones'
                AND l.source_metadata -> 'shared_phones' ? key.phone AND l.deleted_at IS NULL
            LIMIT %(crowd)s) AS found
    UNION
    SELECT l.id, person.key
    FROM (SELECT key.phone AS key, of_.person_id FROM unnest(%(phones)s::text[]) AS key (phone)
              CROSS JOIN LATERAL (
                  SELECT p.person_id FROM (
                      SELECT p.person_id FROM identity.person AS p WHERE p.phones @> ARRAY[key.phone] OFFSET 0) AS p
                  LIMIT %(crowd)s) AS of_
          UNION ALL
          SELECT key.email, of_.person_id FROM unnest(%(emails)s::text[]) AS key (email)
              CROSS JOIN LATERAL (
                  SELECT p.person_id FROM (
                      SELECT p.person_id FROM identity.person AS p WHERE p.emails @> ARRAY[key.email] OFFSET 0) AS p
                  LIMIT %(crowd)s) AS of_) AS person
        CROSS JOIN LATERAL (
            SELECT l.id FROM crm.leads AS l
            WHERE l.organization_id = %(organization_id)s AND l.golden_id = person.person_id AND l.deleted_at IS NULL
            LIMIT %(crowd)s) AS l
), by_lead AS (
    SELECT w.id, coalesce(array_agg(w.also) FILTER (WHERE w.also IS NOT NULL), '{}') AS also FROM wanted AS w GROUP BY w.id)
SELECT l.id::text, l.first_name, l.last_name, l.email, l.phone, l.status, l.source, l.source_metadata, l.tags, l.timezone,
       l.division, l.postal_code, l.owner_id::text, l.value_usd, l.consent, l.created_at, w.also
FROM crm.leads AS l JOIN by_lead AS w USING (id)
WHERE l.organization_id = %(organization_id)s AND l.deleted_at IS NULL
ORDER BY l.created_at, l.id
FOR UPDATE OF l

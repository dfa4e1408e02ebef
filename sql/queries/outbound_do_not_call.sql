-- Living HubSpot contacts that must not be called, and those of which we wrote so and that may be called again. One
-- must not be called while the list blocks a number of it (crm.is_on_dnc_list), or names a lead of its person, or one
-- with the same e-mail address. `organization`: whose list it is, where crm.feed_source names no other.
--
-- The function is asked of a contact whose number an entry does not have as it is: of those found by index, with or
-- without the 1 that an entry lacks or has too much, and by what we wrote. For the entries that no index finds, of
-- erased numbers and of other countries' without their code, the numbers of all contacts are read, while there is one.
WITH organization AS MATERIALIZED (
    SELECT coalesce((SELECT f.organization_id FROM crm.feed_source AS f WHERE f.crm = 'hubspot'),
                    %(organization)s::uuid) AS id
), entry AS MATERIALIZED (
    SELECT d.phone, d.phone_hash, d.lead_id
    FROM crm.dnc_list AS d
    WHERE d.organization_id = (SELECT o.id FROM organization AS o) AND 'call' = ANY (d.channels)
        AND d.ended_at IS NULL AND (d.expires_at IS NULL OR d.expires_at > now())
), hidden AS MATERIALIZED (
    SELECT EXISTS (SELECT FROM entry AS e WHERE e.phone_hash IS NOT NULL) AS hashed,
        EXISTS (SELECT FROM entry AS e WHERE e.phone !~ '^\+1') AS abroad,
        (SELECT decode(c.value #>> '{}', 'hex') FROM crm.system_config AS c
         WHERE c.organization_id = (SELECT o.id FROM organization AS o) AND c.key = 'dnc.hash_key') AS hashkey
), by_lead AS (
    SELECT l.id, l.golden_id, lower(l.email) AS email
    FROM crm.leads AS l
    WHERE l.organization_id = (SELECT o.id FROM organization AS o)
        AND l.id = ANY (ARRAY(SELECT e.lead_id FROM entry AS e WHERE e.lead_id IS NOT NULL))
), person AS (
    SELECT coalesce(a.person_id, g.golden_id) AS person_id
    FROM (SELECT b.golden_id FROM by_lead AS b
          UNION
          SELECT l.golden_id FROM crm.leads AS l
          WHERE l.organization_id = (SELECT o.id FROM organization AS o)
              AND lower(l.email) = ANY (ARRAY(SELECT b.email FROM by_lead AS b WHERE b.email <> ''))) AS g
        LEFT JOIN identity.alias AS a ON a.alias_id = g.golden_id
), certain AS MATERIALIZED (
    SELECT r.source_key
    FROM (SELECT DISTINCT e.phone FROM entry AS e WHERE e.phone IS NOT NULL) AS e
        JOIN identity.record AS r ON r.phones && ARRAY[e.phone] AND r.source_table = 'hubspot_contact'
    UNION
    SELECT m.source_key
    FROM person AS p JOIN identity.member AS m USING (person_id)
    WHERE m.source_table = 'hubspot_contact'
), ours AS MATERIALIZED (
    SELECT w.object_id AS source_key
    FROM (SELECT DISTINCT ON (r.object_id) r.object_id, r.fields #>> '{genius_do_not_call,stored}' AS stored
          FROM reverse_etl.receipt AS r
          WHERE r.target = 'hubspot_do_not_call' AND r.fields -> 'genius_do_not_call' ? 'stored'
          ORDER BY r.object_id, r.sent_at DESC) AS w
    WHERE w.stored = 'true'
), asked AS (
    (SELECT r.source_key
     FROM (SELECT DISTINCT CASE WHEN e.phone ~ '^\+1' THEN '+' || substr(e.phone, 3)
                                ELSE '+1' || substr(e.phone, 2) END AS phone
           FROM entry AS e) AS s
         JOIN identity.record AS r ON r.phones && ARRAY[s.phone] AND r.source_table = 'hubspot_contact'
     UNION
     SELECT r.source_key
     FROM identity.record AS r, unnest(r.phones) AS n
     WHERE (SELECT h.hashed OR h.abroad FROM hidden AS h) AND r.source_table = 'hubspot_contact'
         AND (crm.phone_tail_hash(n, (SELECT h.hashkey FROM hidden AS h WHERE h.hashed)) IN (
                  SELECT e.phone_hash FROM entry AS e WHERE e.phone_hash IS NOT NULL)
              OR n !~ '^\+1' AND right(n, 7) IN (SELECT right(e.phone, 7) FROM entry AS e WHERE e.phone !~ '^\+1'))
     UNION
     SELECT w.source_key FROM ours AS w)
    EXCEPT
    SELECT c.source_key FROM certain AS c
), listed AS MATERIALIZED (
    SELECT c.source_key FROM certain AS c
    UNION ALL
    SELECT r.source_key
    FROM identity.record AS r
    WHERE r.source_table = 'hubspot_contact' AND r.source_key = ANY (ARRAY(SELECT q.source_key FROM asked AS q))
        AND EXISTS (SELECT FROM unnest(r.phones) AS n
                    WHERE crm.is_on_dnc_list(n, (SELECT o.id FROM organization AS o), 'call'))
)
SELECT c.id AS key, c.id AS object_id, l.source_key IS NOT NULL AS genius_do_not_call,
    c.raw_data -> 'properties' AS mirrored
FROM hubspot_contact AS c LEFT JOIN listed AS l ON l.source_key = c.id
WHERE NOT c.archived
    AND c.id = ANY (ARRAY(SELECT l.source_key FROM listed AS l UNION SELECT w.source_key FROM ours AS w))
ORDER BY c.id

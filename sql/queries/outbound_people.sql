-- The person and the lead score of each living HubSpot contact; `mirrored` is what HubSpot had when it was last read.
SELECT c.id::text AS key, c.id::text AS object_id, m.person_id AS genius_golden_id, l.lead_score AS genius_lead_score,
    c.raw_data -> 'properties' AS mirrored
FROM hubspot_contact AS c
    JOIN identity.member AS m ON m.source_table = 'hubspot_contact' AND m.source_key = c.id::text
    LEFT JOIN LATERAL (
        SELECT max(l.lead_score) AS lead_score FROM crm.leads AS l
        WHERE l.organization_id = coalesce(
                (SELECT f.organization_id FROM crm.feed_source AS f WHERE f.crm = 'hubspot'), %(organization)s)
            AND l.golden_id = m.person_id AND l.deleted_at IS NULL AND l.erased_at IS NULL) AS l ON true
WHERE NOT c.archived
ORDER BY c.id

-- Living HubSpot contacts of whose numbers one must not be called, and those that say so and are listed no more.
WITH listed AS (
    SELECT DISTINCT r.source_key
    FROM crm.dnc_list AS d JOIN identity.record AS r ON r.phones && ARRAY[d.phone] AND r.source_table = 'hubspot_contact'
    WHERE d.organization_id = coalesce(
            (SELECT f.organization_id FROM crm.feed_source AS f WHERE f.crm = 'hubspot'), %(organization)s)
        AND d.phone IS NOT NULL AND 'call' = ANY(d.channels) AND d.ended_at IS NULL
        AND (d.expires_at IS NULL OR d.expires_at > now())
)
SELECT c.id::text AS key, c.id::text AS object_id, l.source_key IS NOT NULL AS genius_do_not_call,
    c.raw_data -> 'properties' AS mirrored
FROM hubspot_contact AS c LEFT JOIN listed AS l ON l.source_key = c.id::text
WHERE NOT c.archived
    AND (l.source_key IS NOT NULL OR c.raw_data -> 'properties' ->> 'genius_do_not_call' = 'true')
ORDER BY c.id

-- A lead that stayed at a merge, and had been another person's than the one it got then, is that person's again when
-- identity has both: what the two leads were to each other stands in `lent` of the one that went. Of several the first
-- merge tells whose it had been.
UPDATE crm.leads AS l SET golden_id = back.golden_id
FROM (
    SELECT DISTINCT ON (s.id) s.id AS lead_id, (f.written #>> '{lent,golden_id}')::uuid AS golden_id
    FROM (
        SELECT p.person_id AS golden_id FROM feed_person AS p
        UNION SELECT a.alias_id FROM identity.alias AS a JOIN feed_person AS p USING (person_id)
    ) AS i
        JOIN crm.leads AS g ON g.organization_id = %(organization)s AND g.golden_id = i.golden_id
            AND g.deleted_at IS NOT NULL AND g.erased_at IS NULL AND g.source_metadata ->> 'feed_deleted' = 'merged'
        JOIN crm.lead_feed AS f ON f.organization_id = g.organization_id AND f.lead_id = g.id
        JOIN crm.leads AS s ON s.organization_id = g.organization_id AND s.id = (f.written #>> '{lent,to}')::uuid
    WHERE EXISTS (SELECT FROM identity.person AS o WHERE o.person_id = (f.written #>> '{lent,golden_id}')::uuid)
        -- Whose an entered lead is, identity says.
        AND NOT EXISTS (SELECT FROM identity.member AS m
                        WHERE m.source_table = 'crm.entered_leads' AND m.source_key = s.id::text)
    ORDER BY s.id, g.deleted_at
) AS back
WHERE l.organization_id = %(organization)s AND l.id = back.lead_id AND l.golden_id IS DISTINCT FROM back.golden_id

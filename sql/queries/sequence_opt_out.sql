-- Puts a person on the do-not-call list for channels, by each of its leads that is not listed for them yet.
--
-- organization, lead, channels
WITH theirs AS (
    SELECT o.id FROM crm.leads AS l JOIN crm.leads AS o ON o.organization_id = l.organization_id AND o.golden_id = l.golden_id
    WHERE l.organization_id = %(organization)s AND l.id = %(lead)s AND o.deleted_at IS NULL
    UNION SELECT l.id FROM crm.leads AS l WHERE l.organization_id = %(organization)s AND l.id = %(lead)s
)
INSERT INTO crm.dnc_list (organization_id, lead_id, reason, channels, evidence)
SELECT %(organization)s, t.id, 'opt_out', %(channels)s::text[], 'the link in a message' FROM theirs AS t
WHERE NOT EXISTS (SELECT FROM crm.dnc_list AS d
                  WHERE d.organization_id = %(organization)s AND d.lead_id = t.id AND d.channels @> %(channels)s::text[]
                      AND d.ended_at IS NULL AND d.expires_at IS NULL)

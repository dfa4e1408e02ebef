-- An opt-out that a person entered, by the link in a message or otherwise, or that a file of leads brought, holds for the
-- numbers that its person got since. It is asked for people of feed_live with a number that is not listed.
SELECT coalesce(sum(crm.add_person_to_dnc_list(e.lead_id, e.channels, e.reason, e.evidence, e.expires_at,
                                               coalesce(e.since, e.created_at))), 0) AS listed
FROM (
    SELECT DISTINCT ON (d.lead_id, d.channels, d.reason) d.*
    FROM feed_live AS l
        JOIN crm.dnc_list AS d ON d.organization_id = %(organization)s AND d.lead_id = l.lead_id
        JOIN identity.person AS p ON p.person_id = l.person_id
    -- What the feed lists of sources is `import` too, and holds for their records.
    WHERE (d.detected_by = 'user' OR d.detected_by = 'import' AND d.evidence ~ '^row [0-9]+ of the file of import ')
        AND d.ended_at IS NULL AND (d.expires_at IS NULL OR d.expires_at > now())
        AND d.channels && '{call,sms}' AND EXISTS (
            SELECT FROM unnest(p.phones) AS n (phone)
            WHERE NOT EXISTS (
                SELECT FROM crm.dnc_list AS o
                WHERE o.organization_id = d.organization_id AND o.phone = n.phone AND o.ended_at IS NULL
                    AND (o.expires_at IS NULL OR o.expires_at >= d.expires_at)
                    AND o.channels @> ARRAY(SELECT c FROM unnest(d.channels) AS c WHERE c IN ('call', 'sms'))))
    ORDER BY d.lead_id, d.channels, d.reason, d.created_at
) AS e

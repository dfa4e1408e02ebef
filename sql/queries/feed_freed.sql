-- A number that another lead had when the changes were written, and has no more.
UPDATE crm.leads AS l SET phone = p.phone
    FROM feed_phone AS p
        JOIN feed_change AS c USING (person_id)
    WHERE l.organization_id = %(organization)s AND l.id = c.lead_id AND l.phone IS NULL
        AND c.fields ->> 'phone' = p.phone
        AND NOT EXISTS (SELECT FROM crm.leads AS o WHERE o.organization_id = l.organization_id AND o.phone = p.phone
                        AND o.deleted_at IS NULL)

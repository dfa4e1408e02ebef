-- A number that another lead had when the changes were written, and has no more.
UPDATE crm.leads AS l SET phone = p.phone
    FROM feed_phone AS p
        JOIN feed_change AS c USING (person_id)
    WHERE l.organization_id = %(organization)s AND l.id = c.lead_id AND l.phone IS NULL
        AND c.fields ->> 'phone' = p.phone
        AND NOT EXISTS (SELECT FROM crm.leads AS o WHERE o.organization_id = l.organization_id AND o.phone = p.phone
                        AND o.deleted_at IS NULL);
-- And one of a lead that is again what was entered: until now the lead had it that this one was a part of.
UPDATE crm.leads AS l SET phone = r.phone, source_metadata = (l.source_metadata - 'shared_phones')
        || CASE WHEN rest.phones <> '[]' THEN jsonb_build_object('shared_phones', rest.phones) ELSE '{}' END
    FROM feed_release AS r
        JOIN crm.leads AS x ON x.organization_id = %(organization)s AND x.id = r.lead_id,
        LATERAL (SELECT coalesce(x.source_metadata -> 'shared_phones', '[]') - r.phone AS phones) AS rest
    WHERE l.organization_id = %(organization)s AND l.id = r.lead_id AND l.phone IS NULL AND l.deleted_at IS NULL
        AND x.source_metadata -> 'shared_phones' ? r.phone
        AND NOT EXISTS (SELECT FROM crm.leads AS o WHERE o.organization_id = l.organization_id AND o.phone = r.phone
                        AND o.deleted_at IS NULL)

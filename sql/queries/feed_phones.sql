-- feed_phone: the number that each lead gets. One number is one live lead's, who has it or had it first; for the other
-- ones it is a shared number. A lead that gives its number up in this run has it no more, and one whose own was entered in
-- crm comes last: it keeps what was entered.
CREATE TEMP TABLE feed_phone ON COMMIT DROP AS
    SELECT DISTINCT ON (w.phone) w.phone, f.person_id
    FROM feed_lead AS f
        JOIN feed_wanted AS w ON w.organization_id = %(organization)s AND w.person_id = f.person_id
        LEFT JOIN crm.leads AS c ON c.organization_id = %(organization)s AND c.id = f.lead_id
        LEFT JOIN crm.lead_feed AS o ON o.organization_id = %(organization)s AND o.lead_id = f.lead_id
        LEFT JOIN crm.leads AS l ON l.organization_id = %(organization)s AND l.phone = w.phone AND l.deleted_at IS NULL
        LEFT JOIN feed_lead AS h ON h.lead_id = l.id
        LEFT JOIN feed_wanted AS hw ON hw.organization_id = %(organization)s AND hw.person_id = h.person_id
        LEFT JOIN crm.lead_feed AS s ON s.organization_id = %(organization)s AND s.lead_id = h.lead_id
    WHERE w.phone IS NOT NULL AND f.state <> 'deleted'
        AND (l.id IS NULL OR l.id = f.lead_id OR hw.phone IS DISTINCT FROM l.phone AND s.written ->> 'phone' = l.phone)
    ORDER BY w.phone, l.id IS DISTINCT FROM f.lead_id,
        c.id IS NOT NULL AND CASE WHEN o.written ? 'phone' THEN c.phone IS DISTINCT FROM o.written ->> 'phone'
                                  ELSE c.phone IS NOT NULL END,
        w.created_at, w.person_id;
ANALYZE feed_phone

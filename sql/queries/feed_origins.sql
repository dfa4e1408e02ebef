-- What the sources said of each lead, what of that was written, who said it, and which records the lead follows.
INSERT INTO crm.lead_feed AS s (organization_id, lead_id, proposed, written, origins, records)
    SELECT %(organization)s, f.lead_id, c.wanted,
        coalesce(c.taken, '{}') || jsonb_build_object('shared_phones', n.own), w.origins, w.records
    FROM feed_change AS c JOIN feed_lead AS f USING (lead_id) JOIN feed_shared AS n USING (lead_id)
        JOIN feed_wanted AS w ON w.organization_id = %(organization)s AND w.person_id = f.person_id
    UNION ALL
    SELECT %(organization)s, f.lead_id, n.values_,
        n.values_ || jsonb_build_object('shared_phones', coalesce(l.source_metadata -> 'shared_phones', '[]')), w.origins,
        w.records
    FROM feed_lead AS f
        JOIN feed_wanted AS w ON w.organization_id = %(organization)s AND w.person_id = f.person_id
        JOIN crm.leads AS l ON l.organization_id = %(organization)s AND l.id = f.lead_id,
        LATERAL (SELECT jsonb_build_object(
            'first_name', l.first_name, 'last_name', l.last_name, 'email', l.email, 'phone', l.phone,
            'status', l.status, 'source', l.source, 'tags', l.tags, 'division', l.division,
            'postal_code', l.postal_code, 'owner_id', l.owner_id, 'value_usd', l.value_usd) AS values_) AS n
    WHERE f.state = 'new'
    ON CONFLICT (organization_id, lead_id) DO UPDATE
        SET proposed = excluded.proposed, written = s.written || excluded.written, origins = excluded.origins,
            records = excluded.records, fed_at = now()
        WHERE (s.proposed, s.written, s.origins, s.records)
            IS DISTINCT FROM (excluded.proposed, s.written || excluded.written, excluded.origins, excluded.records)

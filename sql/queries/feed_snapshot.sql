-- What stands in leads that the feed did not make, before it writes into them for the first time: identity goes on
-- reading that. {leads} is composed.
INSERT INTO crm.lead_feed (organization_id, lead_id, entered)
    SELECT %(organization)s, l.id, jsonb_build_object(
            'first_name', l.first_name, 'last_name', l.last_name, 'email', l.email, 'phone', l.phone,
            'status', l.status, 'source', l.source, 'tags', l.tags, 'timezone', l.timezone, 'division', l.division,
            'postal_code', l.postal_code, 'owner_id', l.owner_id, 'value_usd', l.value_usd,
            'crm_source', l.source_metadata -> 'crm_source')
    FROM (SELECT lead_id FROM {leads}) AS k
        JOIN crm.leads AS l ON l.organization_id = %(organization)s AND l.id = k.lead_id
    WHERE (l.deleted_at IS NULL OR l.source_metadata ? 'feed_deleted') AND NOT EXISTS (
        SELECT FROM crm.lead_feed AS f WHERE f.organization_id = l.organization_id AND f.lead_id = l.id)
    ON CONFLICT DO NOTHING

-- Leads of people that no source calls a lead any more: deleted softly when the feed made them, and nobody entered
-- anything in them.
UPDATE crm.leads AS l
    SET deleted_at = now(), source_metadata = l.source_metadata || '{"feed_deleted": "sources"}'
    FROM crm.lead_feed AS f
    WHERE l.organization_id = %(organization)s AND l.deleted_at IS NULL AND f.entered IS NULL
        AND f.organization_id = l.organization_id AND f.lead_id = l.id
        AND (l.id IN (SELECT m.lead_id FROM feed_match AS m WHERE m.is_live AND NOT EXISTS (
                 SELECT FROM feed_wanted AS w
                 WHERE w.organization_id = %(organization)s AND w.person_id = m.person_id))
             OR l.golden_id IS NOT NULL AND NOT EXISTS (
                 SELECT FROM identity.person AS p WHERE p.person_id = l.golden_id)
                AND NOT EXISTS (SELECT FROM identity.alias AS a WHERE a.alias_id = l.golden_id))
        AND NOT EXISTS (
            SELECT FROM jsonb_each(f.written) AS w
            WHERE w.key NOT IN ('phone', 'shared_phones', 'lent') AND w.value IS DISTINCT FROM to_jsonb(l) -> w.key)

-- What a lead of the feed has from another that became part of it, and the feed had written there, is the feed's, and was
-- no entry of a user's: merges of older versions did not note it. It was written
-- once since, by no user: that was the merge.
UPDATE crm.lead_feed AS s SET written = s.written || h.fields
    FROM (
        SELECT l.id AS lead_id, jsonb_object_agg(k.field, n.value) AS fields
        FROM crm.leads AS g
            JOIN crm.lead_feed AS w ON w.organization_id = g.organization_id AND w.lead_id = g.id AND w.proposed <> '{}'
            JOIN crm.leads AS l ON l.organization_id = g.organization_id AND l.deleted_at IS NULL
                AND l.id = crm.merged_into(g.source_metadata)
            JOIN crm.lead_feed AS f ON f.organization_id = l.organization_id AND f.lead_id = l.id
                AND f.entered IS NULL AND f.proposed <> '{}',
            unnest('{first_name,last_name,email,phone,source,division,postal_code,owner_id,value_usd}'::text[])
                AS k (field),
            LATERAL (SELECT to_jsonb(l) -> k.field AS value) AS n
        WHERE g.organization_id = %(organization)s AND g.deleted_at IS NOT NULL
            AND g.source_metadata ->> 'feed_deleted' = 'merged'
            AND w.written -> k.field = n.value AND f.written -> k.field IS DISTINCT FROM n.value
            AND (SELECT count(*) = 1 AND count(a.changed_by) = 0 FROM crm.lead_audit_log AS a
                 WHERE a.organization_id = l.organization_id AND a.lead_id = l.id AND a.field_name = k.field
                     AND a.created_at >= g.deleted_at)
        GROUP BY l.id
    ) AS h
    WHERE s.organization_id = %(organization)s AND s.lead_id = h.lead_id

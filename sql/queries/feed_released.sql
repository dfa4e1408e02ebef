-- Leads that were entered, and whose person no source calls a lead (any more): they are again what was entered, and what
-- the feed wrote goes. One that had become part of another lead comes back when its person has no other.
CREATE TEMP TABLE feed_release ON COMMIT DROP AS
    SELECT l.id AS lead_id, f.entered, coalesce(f.written, '{}') AS written,
        CASE WHEN f.entered ? 'phone' AND f.written ? 'phone' AND f.written ->> 'phone' IS NOT DISTINCT FROM l.phone
             THEN f.entered ->> 'phone' ELSE l.phone END AS phone
    FROM feed_entered AS e
        JOIN crm.leads AS l ON l.organization_id = %(organization)s AND l.id = e.lead_id
        LEFT JOIN crm.lead_feed AS f ON f.organization_id = l.organization_id AND f.lead_id = l.id
    WHERE NOT EXISTS (SELECT FROM feed_wanted AS w
                      WHERE w.organization_id = %(organization)s AND w.person_id = e.person_id)
        AND (l.deleted_at IS NULL AND f.proposed <> '{}' AND f.entered IS NOT NULL
             OR l.deleted_at IS NOT NULL AND l.source_metadata ? 'feed_deleted'
                 AND (f.lead_id IS NULL OR f.entered IS NOT NULL)
                 AND NOT EXISTS (SELECT FROM crm.leads AS o
                                 WHERE o.organization_id = l.organization_id AND o.golden_id = e.person_id
                                     AND o.deleted_at IS NULL)
                 AND e.lead_id = (SELECT o.id FROM feed_entered AS m JOIN crm.leads AS o ON o.id = m.lead_id
                                  WHERE o.organization_id = l.organization_id AND m.person_id = e.person_id
                                      AND o.source_metadata ? 'feed_deleted'
                                  ORDER BY o.created_at, o.id LIMIT 1));
UPDATE crm.leads AS l
    SET first_name = v.first_name, last_name = v.last_name, email = v.email, status = v.status, source = v.source,
        phone = CASE WHEN NOT taken.is_so THEN v.phone END, timezone = v.timezone, division = v.division,
        postal_code = v.postal_code, owner_id = v.owner_id, value_usd = v.value_usd, deleted_at = NULL,
        tags = ARRAY(SELECT DISTINCT t FROM (
            (SELECT unnest(l.tags) AS t EXCEPT SELECT jsonb_array_elements_text(coalesce(r.written -> 'tags', '[]')))
            UNION ALL SELECT jsonb_array_elements_text(
                CASE WHEN r.entered ? 'tags' THEN r.entered -> 'tags' ELSE to_jsonb(l.tags) END)) AS x ORDER BY t),
        source_metadata = (l.source_metadata
                - '{feed_deleted,merged_into,crm_status,crm_source,crm_sources,shared_phones}'::text[])
            || jsonb_strip_nulls(jsonb_build_object('crm_source', r.entered -> 'crm_source'))
            || CASE WHEN kept.phones <> '[]' THEN jsonb_build_object('shared_phones', kept.phones) ELSE '{}' END
    FROM feed_release AS r
        JOIN crm.leads AS x ON x.organization_id = %(organization)s AND x.id = r.lead_id,
        LATERAL (SELECT coalesce(jsonb_object_agg(w.key, r.entered -> w.key), '{}') AS fields
                 FROM jsonb_each(r.written) AS w
                 WHERE r.entered ? w.key AND w.key <> 'tags' AND w.value IS NOT DISTINCT FROM to_jsonb(x) -> w.key) AS back,
        LATERAL jsonb_populate_record(x, back.fields) AS v,
        LATERAL (SELECT v.phone IS NOT NULL AND EXISTS (
                     SELECT FROM crm.leads AS o WHERE o.organization_id = x.organization_id AND o.phone = v.phone
                         AND o.deleted_at IS NULL AND o.id <> x.id) AS is_so) AS taken,
        LATERAL (SELECT coalesce(jsonb_agg(DISTINCT n.phone), '[]') AS phones
                 FROM (SELECT p AS phone FROM jsonb_array_elements_text(
                           CASE jsonb_typeof(x.source_metadata -> 'shared_phones') WHEN 'array'
                                THEN x.source_metadata -> 'shared_phones' ELSE '[]' END) AS p
                       WHERE NOT coalesce(r.written -> 'shared_phones' ? p, false)
                       UNION ALL SELECT v.phone WHERE taken.is_so) AS n) AS kept
    WHERE l.organization_id = %(organization)s AND l.id = r.lead_id;
DELETE FROM crm.lead_feed AS f USING feed_release AS r
    WHERE f.organization_id = %(organization)s AND f.lead_id = r.lead_id

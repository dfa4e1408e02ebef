-- Two leads of one person become one, with what was entered in either, and never with less. Of each field the value that
-- was entered in a lead of the feed, before one that the feed wrote, before one of a lead that it never saw: that one
-- speaks through identity. Of two, that of the lead that stays. `lent`: what a lead that was entered has from another.
CREATE TEMP TABLE feed_lent ON COMMIT DROP AS
    SELECT DISTINCT ON (g.stays, k.field) g.stays, g.lead_id, k.field, to_jsonb(l) -> k.field AS value, f.kind
    FROM feed_merge AS g
        JOIN crm.leads AS l ON l.organization_id = %(organization)s AND l.id = g.lead_id
        LEFT JOIN crm.lead_feed AS w ON w.organization_id = l.organization_id AND w.lead_id = l.id,
        unnest('{first_name,last_name,email,phone,source,timezone,division,postal_code,owner_id,value_usd}'::text[])
            AS k (field),
        LATERAL (SELECT CASE WHEN coalesce(w.proposed, '{}') = '{}' THEN 2
                             WHEN (to_jsonb(l) -> k.field) IS NOT DISTINCT FROM w.written -> k.field THEN 1
                             ELSE 0 END AS kind) AS f
    WHERE jsonb_typeof(to_jsonb(l) -> k.field) <> 'null'
        -- What is a person's comes through identity, and goes with the record.
        AND NOT (f.kind = 2 AND g.lead_id <> g.stays
                 AND k.field = ANY ('{first_name,last_name,email,phone,postal_code}')
                 AND EXISTS (SELECT FROM feed_wanted AS p
                             WHERE p.organization_id = %(organization)s AND p.person_id = g.person_id))
    ORDER BY g.stays, k.field, f.kind, g.place;
CREATE TEMP TABLE feed_merged ON COMMIT DROP AS
    SELECT f.stays, jsonb_object_agg(f.field, f.value) AS fields,
        jsonb_object_agg(f.field, f.value) FILTER (WHERE f.lead_id <> f.stays AND f.kind > 0) AS lent
    FROM feed_lent AS f
    GROUP BY f.stays;
-- What each of the others lends, with what stood in its place and whose the lead was: feed_returned gives it back.
UPDATE crm.lead_feed AS s
    SET written = s.written || jsonb_build_object('lent', jsonb_build_object(
        'to', g.stays, 'golden_id', o.golden_id,
        'fields', coalesce((
            SELECT jsonb_object_agg(f.field, jsonb_build_object('is', f.value, 'was', to_jsonb(o) -> f.field)
                       || CASE WHEN w.written ? f.field THEN jsonb_build_object('written', w.written -> f.field)
                               ELSE '{}' END)
            FROM feed_lent AS f
            WHERE f.lead_id = g.lead_id AND f.value IS DISTINCT FROM to_jsonb(o) -> f.field), '{}')
            || CASE WHEN l.created_at < o.created_at AND l.created_at = (
                    SELECT min(y.created_at) FROM feed_merge AS h JOIN crm.leads AS y
                        ON y.organization_id = %(organization)s AND y.id = h.lead_id WHERE h.stays = g.stays)
                THEN jsonb_build_object('created_at', jsonb_build_object('is', l.created_at, 'was', o.created_at))
                ELSE '{}' END,
        'tags', to_jsonb(ARRAY(SELECT unnest(l.tags) EXCEPT SELECT unnest(o.tags))),
        'consent', (SELECT coalesce(jsonb_agg(c), '[]') FROM jsonb_array_elements(l.consent) AS c
                    WHERE c NOT IN (SELECT jsonb_array_elements(o.consent)))))
    FROM feed_merge AS g
        JOIN crm.leads AS l ON l.organization_id = %(organization)s AND l.id = g.lead_id
        JOIN crm.leads AS o ON o.organization_id = %(organization)s AND o.id = g.stays
        LEFT JOIN crm.lead_feed AS w ON w.organization_id = %(organization)s AND w.lead_id = g.stays
    WHERE s.organization_id = %(organization)s AND s.lead_id = g.lead_id AND g.place > 1;
UPDATE crm.lead_feed AS s SET written = s.written || m.lent
    FROM feed_merged AS m
    WHERE s.organization_id = %(organization)s AND s.lead_id = m.stays AND s.entered IS NOT NULL AND m.lent IS NOT NULL;
UPDATE crm.leads AS l
    SET deleted_at = now(), source_metadata = l.source_metadata
        || jsonb_build_object('merged_into', g.stays, 'feed_deleted', 'merged')
    FROM feed_merge AS g WHERE l.organization_id = %(organization)s AND l.id = g.lead_id AND g.place > 1;
UPDATE crm.leads AS l
    SET first_name = v.first_name, last_name = v.last_name, email = v.email, phone = v.phone, source = v.source,
        timezone = v.timezone, division = v.division, postal_code = v.postal_code, owner_id = v.owner_id,
        value_usd = v.value_usd, created_at = least(l.created_at, o.created_at), tags = o.tags, consent = o.consent
    FROM feed_merged AS m,
        LATERAL jsonb_populate_record(NULL::crm.leads, m.fields) AS v,
        LATERAL (
            SELECT min(x.created_at) AS created_at,
                (SELECT coalesce(array_agg(DISTINCT t ORDER BY t), '{}')
                 FROM feed_merge AS h JOIN crm.leads AS y ON y.organization_id = %(organization)s AND y.id = h.lead_id,
                     unnest(y.tags) AS t WHERE h.stays = m.stays) AS tags,
                (SELECT coalesce(jsonb_agg(DISTINCT c), '[]')
                 FROM feed_merge AS h JOIN crm.leads AS y ON y.organization_id = %(organization)s AND y.id = h.lead_id,
                     jsonb_array_elements(y.consent) AS c WHERE h.stays = m.stays) AS consent
            FROM feed_merge AS g JOIN crm.leads AS x ON x.organization_id = %(organization)s AND x.id = g.lead_id
            WHERE g.stays = m.stays) AS o
    WHERE l.organization_id = %(organization)s AND l.id = m.stays;
-- Entries of the do-not-call list that name the other lead name this one too.
INSERT INTO crm.dnc_list (organization_id, phone, phone_hash, email_hash, reason, channels, detected_by, evidence, lead_id,
                          expires_at, since)
    SELECT d.organization_id, d.phone, d.phone_hash, d.email_hash, d.reason, d.channels, d.detected_by, d.evidence, g.stays,
        d.expires_at, coalesce(d.since, d.created_at)
    FROM feed_merge AS g JOIN crm.dnc_list AS d ON d.organization_id = %(organization)s AND d.lead_id = g.lead_id
    WHERE g.place > 1 AND d.ended_at IS NULL;
DELETE FROM feed_match AS m USING feed_merge AS g WHERE g.lead_id = m.lead_id AND g.place > 1

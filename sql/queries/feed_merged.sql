-- Two leads of one person become one, with what was entered in either, and never with less. Of each field the value that
-- was entered in a lead of the feed, before one that the feed wrote, before one of a lead that it never saw: that one
-- speaks through identity. Of two, that of the lead that stays. `lent`: what that one has from another and the feed may
-- write over, because it wrote it, or because its own lead was entered and speaks through identity.
--
-- What source_metadata has beside the feed's own comes too, where the lead that stays has nothing under that key. What
-- identity reads of it (`read`) does not become an entry of another lead that identity reads.
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
        jsonb_object_agg(f.field, f.value) FILTER (
            WHERE f.lead_id <> f.stays AND (f.kind = 1 OR f.kind = 2 AND w.entered IS NOT NULL)) AS lent
    FROM feed_lent AS f
        LEFT JOIN crm.lead_feed AS w ON w.organization_id = %(organization)s AND w.lead_id = f.stays
    GROUP BY f.stays;
CREATE TEMP TABLE feed_noted ON COMMIT DROP AS
    SELECT DISTINCT ON (g.stays, m.key) g.stays, g.lead_id, m.key, m.value
    FROM feed_merge AS g
        JOIN crm.leads AS l ON l.organization_id = %(organization)s AND l.id = g.lead_id
        JOIN crm.leads AS o ON o.organization_id = %(organization)s AND o.id = g.stays
        LEFT JOIN crm.lead_feed AS w ON w.organization_id = %(organization)s AND w.lead_id = g.stays,
        jsonb_each(l.source_metadata) AS m,
        LATERAL (SELECT m.key = ANY ('{company,street,unit,city,state,other_emails,other_phones}') AS read) AS k
    WHERE g.place > 1 AND NOT o.source_metadata ? m.key
        AND m.key <> ALL ('{feed_deleted,merged_into,shared_phones,crm_status,crm_source,crm_sources}')
        AND NOT (k.read AND w.entered IS NOT NULL)
    ORDER BY g.stays, m.key, g.place;
-- Of several enrollments in one sequence the one that is furthest goes on.
CREATE TEMP TABLE feed_enrolled ON COMMIT DROP AS
    SELECT DISTINCT ON (g.stays, e.sequence_id) g.stays, g.lead_id, e.id
    FROM feed_merge AS g
        JOIN crm.lead_sequence_enrollments AS e ON e.organization_id = %(organization)s AND e.lead_id = g.lead_id
            AND e.status IN ('active', 'paused')
    WHERE g.place > 1 AND NOT EXISTS (
        SELECT FROM crm.lead_sequence_enrollments AS o
        WHERE o.organization_id = %(organization)s AND o.lead_id = g.stays AND o.sequence_id = e.sequence_id)
    ORDER BY g.stays, e.sequence_id, e.current_step DESC, g.place;
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
        'metadata', (SELECT coalesce(jsonb_object_agg(t.key, t.value), '{}') FROM feed_noted AS t
                     WHERE t.lead_id = g.lead_id),
        'enrollments', (SELECT coalesce(jsonb_agg(e.id), '[]') FROM feed_enrolled AS e WHERE e.lead_id = g.lead_id),
        'consent', (SELECT coalesce(jsonb_agg(c), '[]') FROM jsonb_array_elements(l.consent) AS c
                    WHERE c NOT IN (SELECT jsonb_array_elements(o.consent)))))
    FROM feed_merge AS g
        JOIN crm.leads AS l ON l.organization_id = %(organization)s AND l.id = g.lead_id
        JOIN crm.leads AS o ON o.organization_id = %(organization)s AND o.id = g.stays
        LEFT JOIN crm.lead_feed AS w ON w.organization_id = %(organization)s AND w.lead_id = g.stays
    WHERE s.organization_id = %(organization)s AND s.lead_id = g.lead_id AND g.place > 1;
UPDATE crm.lead_feed AS s SET written = s.written || m.lent
    FROM feed_merged AS m
    WHERE s.organization_id = %(organization)s AND s.lead_id = m.stays AND m.lent IS NOT NULL;
UPDATE crm.lead_feed AS s SET written = s.written || jsonb_build_object('tags', t.tags)
    FROM (SELECT g.stays, jsonb_agg(DISTINCT n.tag) AS tags
          FROM feed_merge AS g
              JOIN crm.leads AS l ON l.organization_id = %(organization)s AND l.id = g.lead_id
              JOIN crm.lead_feed AS w ON w.organization_id = %(organization)s AND w.lead_id = g.lead_id,
              unnest(l.tags) AS n (tag)
          WHERE w.written -> 'tags' ? n.tag
          GROUP BY g.stays) AS t
    WHERE s.organization_id = %(organization)s AND s.lead_id = t.stays AND s.proposed <> '{}';
UPDATE crm.leads AS l
    SET deleted_at = now(), source_metadata = l.source_metadata
        || jsonb_build_object('merged_into', g.stays, 'feed_deleted', 'merged')
    FROM feed_merge AS g WHERE l.organization_id = %(organization)s AND l.id = g.lead_id AND g.place > 1;
UPDATE crm.leads AS l
    SET first_name = v.first_name, last_name = v.last_name, email = v.email, phone = v.phone, source = v.source,
        timezone = v.timezone, division = v.division, postal_code = v.postal_code, owner_id = v.owner_id,
        value_usd = v.value_usd, created_at = least(l.created_at, o.created_at), tags = o.tags, consent = o.consent,
        source_metadata = l.source_metadata || coalesce((
            SELECT jsonb_object_agg(t.key, t.value) FROM feed_noted AS t WHERE t.stays = l.id), '{}')
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
UPDATE crm.lead_sequence_enrollments AS e SET lead_id = f.stays
    FROM feed_enrolled AS f WHERE e.organization_id = %(organization)s AND e.id = f.id;
-- What was sent stays with the lead that it was sent to, for the log.
UPDATE crm.sequence_message AS m
    SET lead_id = f.stays,
        recipient = CASE WHEN m.status NOT IN ('waiting', 'retry', 'parked') THEN m.recipient
                         WHEN m.channel = 'email' THEN coalesce(l.email, m.recipient)
                         ELSE coalesce(l.phone, m.recipient) END
    FROM feed_enrolled AS f JOIN crm.leads AS l ON l.organization_id = %(organization)s AND l.id = f.stays
    WHERE m.organization_id = %(organization)s AND m.enrollment_id = f.id AND m.settled_at IS NULL;
-- Entries of the do-not-call list that name the other lead name this one too.
INSERT INTO crm.dnc_list (organization_id, phone, phone_hash, email_hash, reason, channels, detected_by, evidence, lead_id,
                          expires_at, since)
    SELECT d.organization_id, d.phone, d.phone_hash, d.email_hash, d.reason, d.channels, d.detected_by, d.evidence, g.stays,
        d.expires_at, coalesce(d.since, d.created_at)
    FROM feed_merge AS g JOIN crm.dnc_list AS d ON d.organization_id = %(organization)s AND d.lead_id = g.lead_id
    WHERE g.place > 1 AND d.ended_at IS NULL;
DELETE FROM feed_match AS m USING feed_merge AS g WHERE g.lead_id = m.lead_id AND g.place > 1

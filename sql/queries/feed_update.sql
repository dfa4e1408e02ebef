-- What sources say of leads that are there already: feed_field has a row per lead and field, with what it becomes.
CREATE TEMP TABLE feed_field ON COMMIT DROP AS
    WITH lead AS (
        SELECT f.lead_id, f.state, to_jsonb(l) AS now_, w.origins, coalesce(s.proposed <> '{}', false) AS fed,
            coalesce(s.proposed, '{}') AS proposed, coalesce(s.written, '{}') AS written,
            jsonb_build_object(
                'first_name', w.first_name, 'last_name', w.last_name, 'email', w.email, 'phone', p.phone,
                'status', w.status, 'source', w.source, 'tags', w.tags, 'division', w.division,
                'postal_code', w.postal_code, 'owner_id', w.owner_id, 'value_usd', w.value_usd) AS wanted
        FROM feed_lead AS f
            JOIN feed_wanted AS w ON w.organization_id = %(organization)s AND w.person_id = f.person_id
            JOIN crm.leads AS l ON l.organization_id = %(organization)s AND l.id = f.lead_id
            LEFT JOIN crm.lead_feed AS s ON s.organization_id = %(organization)s AND s.lead_id = f.lead_id
            LEFT JOIN feed_phone AS p ON p.person_id = f.person_id
        WHERE f.state IN ('live', 'revived', 'adopted')
    ), field AS (
        SELECT l.lead_id, l.state, l.fed, k.key AS field, l.now_ -> k.key AS is_now, k.value AS wanted,
            l.proposed -> k.key AS proposed, l.written -> k.key AS written,
            -- Entered in crm: not what the feed wrote last; where it never wrote, anything that is there.
            CASE WHEN l.written ? k.key THEN l.now_ -> k.key IS DISTINCT FROM l.written -> k.key
                 ELSE l.now_ -> k.key NOT IN ('null', '[]') END AS entered,
            (l.origins -> k.key ->> 'at')::timestamptz AS said_at
        FROM lead AS l, jsonb_each(l.wanted) AS k
    ), decided AS (
        SELECT f.*, CASE
            WHEN NOT f.entered OR f.field = 'tags' THEN true
            -- A lead that somebody added by hand is as far as either says.
            WHEN NOT f.fed AND f.field = 'status' THEN
                (SELECT r.rank FROM crm.status_rank AS r WHERE r.status = f.wanted #>> '{}')
                > (SELECT r.rank FROM crm.status_rank AS r WHERE r.status = f.is_now #>> '{}')
            -- What was entered stays until the source's own value changes later.
            WHEN f.fed AND f.wanted IS DISTINCT FROM f.proposed AND f.wanted <> 'null' THEN
                f.said_at > coalesce((
                    SELECT max(a.created_at) FROM crm.lead_audit_log AS a
                    WHERE a.organization_id = %(organization)s AND a.lead_id = f.lead_id AND a.field_name = f.field),
                    '-infinity')
            ELSE false END AS taken
        FROM field AS f
    )
    SELECT d.lead_id, d.field, d.wanted, d.taken IS TRUE AS taken, CASE
            -- Tags that the source dropped go, those that it added come, and what was entered stays.
            WHEN d.field = 'tags' THEN to_jsonb(ARRAY(
                SELECT t.tag FROM (
                    (SELECT jsonb_array_elements_text(d.is_now) AS tag
                     EXCEPT (SELECT jsonb_array_elements_text(coalesce(d.written, '[]'))
                             EXCEPT SELECT jsonb_array_elements_text(d.wanted)))
                    UNION (SELECT jsonb_array_elements_text(d.wanted)
                           EXCEPT SELECT jsonb_array_elements_text(coalesce(d.written, '[]')))) AS t
                ORDER BY 1))
            WHEN d.taken THEN d.wanted ELSE d.is_now END AS becomes
    FROM decided AS d;
ANALYZE feed_field;
CREATE TEMP TABLE feed_change ON COMMIT DROP AS
    SELECT f.lead_id, f.person_id, jsonb_object_agg(c.field, c.becomes) AS fields,
        jsonb_object_agg(c.field, c.wanted) FILTER (WHERE c.taken) AS taken,
        jsonb_object_agg(c.field, c.wanted) AS wanted
    FROM feed_field AS c JOIN feed_lead AS f USING (lead_id)
    GROUP BY f.lead_id, f.person_id;
CREATE UNIQUE INDEX ON feed_change (lead_id);
ANALYZE feed_change;
-- Numbers that the lead shares: those that the feed did not write itself stay, as one that a file brought; and the one
-- that the sources say, where another lead has it. A number that was entered and gives way goes to the other numbers.
CREATE TEMP TABLE feed_shared ON COMMIT DROP AS
    SELECT c.lead_id, kept.phones AS kept, own.phones AS own, CASE
            WHEN x.phone IS DISTINCT FROM c.fields ->> 'phone' AND s.written ->> 'phone' IS DISTINCT FROM x.phone
                 AND x.deleted_at IS NULL AND NOT others.phones ? x.phone
            THEN others.phones || jsonb_build_array(x.phone) END AS others
    FROM feed_change AS c
        JOIN feed_wanted AS w ON w.organization_id = %(organization)s AND w.person_id = c.person_id
        JOIN crm.leads AS x ON x.organization_id = %(organization)s AND x.id = c.lead_id
        LEFT JOIN feed_phone AS p ON p.person_id = c.person_id
        LEFT JOIN crm.lead_feed AS s ON s.organization_id = %(organization)s AND s.lead_id = c.lead_id,
        LATERAL (SELECT coalesce(jsonb_agg(n.phone ORDER BY n.place), '[]') AS phones
                 FROM jsonb_array_elements_text(
                         CASE jsonb_typeof(x.source_metadata -> 'shared_phones') WHEN 'array'
                              THEN x.source_metadata -> 'shared_phones' ELSE '[]' END) WITH ORDINALITY AS n (phone, place)
                 WHERE NOT coalesce(s.written -> 'shared_phones' ? n.phone, false)
                     AND n.phone IS DISTINCT FROM c.fields ->> 'phone') AS kept,
        LATERAL (SELECT CASE jsonb_typeof(x.source_metadata -> 'other_phones') WHEN 'array'
                             THEN x.source_metadata -> 'other_phones' ELSE '[]' END AS phones) AS others,
        LATERAL (SELECT CASE WHEN w.phone IS NOT NULL AND p.phone IS NULL AND c.fields ->> 'phone' IS DISTINCT FROM w.phone
                                  AND NOT kept.phones ? w.phone
                             THEN jsonb_build_array(w.phone) ELSE '[]' END AS phones) AS own;
CREATE UNIQUE INDEX ON feed_shared (lead_id);
ANALYZE feed_shared;
UPDATE crm.leads AS l
    SET first_name = v.first_name, last_name = v.last_name, email = v.email, status = v.status, source = v.source,
        -- Another lead may have had the number while this one was deleted: feed_freed gives it back when it is free.
        phone = CASE WHEN (v.phone = l.phone AND l.deleted_at IS NULL) OR v.phone IS NULL OR NOT EXISTS (
            SELECT FROM crm.leads AS o WHERE o.organization_id = l.organization_id AND o.phone = v.phone
                AND o.deleted_at IS NULL AND o.id <> l.id) THEN v.phone END,
        tags = v.tags, division = v.division, postal_code = v.postal_code, owner_id = v.owner_id,
        value_usd = v.value_usd, golden_id = c.person_id, created_at = least(l.created_at, w.created_at),
        deleted_at = NULL, source_metadata = m.metadata
    FROM feed_change AS c
        JOIN feed_wanted AS w ON w.organization_id = %(organization)s AND w.person_id = c.person_id
        JOIN feed_shared AS n ON n.lead_id = c.lead_id,
        LATERAL jsonb_populate_record(NULL::crm.leads, c.fields) AS v,
        LATERAL (SELECT (x.source_metadata - '{feed_deleted,merged_into,shared_phones,crm_status}'::text[]) || w.metadata
                        || CASE WHEN n.kept || n.own <> '[]' THEN jsonb_build_object('shared_phones', n.kept || n.own)
                                ELSE '{}' END
                        || CASE WHEN n.others IS NOT NULL THEN jsonb_build_object('other_phones', n.others) ELSE '{}' END
                        AS metadata
                 FROM crm.leads AS x WHERE x.organization_id = %(organization)s AND x.id = c.lead_id) AS m
    WHERE l.organization_id = %(organization)s AND l.id = c.lead_id
        AND (l.first_name, l.last_name, l.email, l.phone, l.status, l.source, l.tags, l.division, l.postal_code,
             l.owner_id, l.value_usd, l.golden_id, l.deleted_at, l.source_metadata, l.created_at)
            IS DISTINCT FROM
            (v.first_name, v.last_name, v.email, v.phone, v.status, v.source, v.tags, v.division, v.postal_code,
             v.owner_id, v.value_usd, c.person_id, NULL::timestamptz, m.metadata, least(l.created_at, w.created_at))

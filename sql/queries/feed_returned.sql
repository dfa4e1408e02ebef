-- Leads that a merge took away, and whose person is another one again than that of the lead that stayed: what they lent
-- goes from there, where nobody changed it since. What was taken back of a consent meanwhile is taken back in both.
-- Entries of the do-not-call list stay with both: nobody but a person ends one. A sequence goes on for the lead that was
-- enrolled.
--
-- step: 1 for the lead that stayed, more for those that this one became part of since.
CREATE TEMP TABLE feed_returned ON COMMIT DROP AS
    WITH RECURSIVE chain AS (
        SELECT m.lead_id, m.person_id, (f.written #>> '{lent,to}')::uuid AS stays, f.written -> 'lent' AS lent, 1 AS step,
            l.deleted_at AS merged_at
        FROM feed_match AS m
            JOIN crm.leads AS l ON l.organization_id = %(organization)s AND l.id = m.lead_id
            JOIN crm.lead_feed AS f ON f.organization_id = %(organization)s AND f.lead_id = m.lead_id
        WHERE NOT m.is_live AND m.deleted_by_feed = 'merged' AND f.written ? 'lent'
        UNION ALL
        SELECT c.lead_id, c.person_id, (f.written #>> '{lent,to}')::uuid,
            -- Of what came there, what that lead had not itself.
            jsonb_build_object('enrollments', c.lent -> 'enrollments',
                'tags', (SELECT coalesce(jsonb_agg(e), '[]') FROM jsonb_array_elements(c.lent -> 'tags') AS e
                         WHERE e IN (SELECT jsonb_array_elements(f.written #> '{lent,tags}'))),
                'consent', (SELECT coalesce(jsonb_agg(e), '[]') FROM jsonb_array_elements(c.lent -> 'consent') AS e
                            WHERE e IN (SELECT jsonb_array_elements(f.written #> '{lent,consent}'))),
                'metadata', (SELECT coalesce(jsonb_object_agg(e.key, e.value), '{}')
                             FROM jsonb_each(c.lent -> 'metadata') AS e
                             WHERE f.written #> '{lent,metadata}' -> e.key = e.value),
                'fields', (
                SELECT coalesce(jsonb_object_agg(k.key, jsonb_build_object('is', k.value -> 'is', 'was',
                           CASE jsonb_typeof(k.value -> 'was') WHEN 'null' THEN t.lent -> 'was' ELSE k.value -> 'was' END)),
                           '{}')
                FROM jsonb_each(c.lent -> 'fields') AS k,
                    LATERAL (SELECT f.written #> ARRAY['lent', 'fields', k.key] AS lent) AS t
                WHERE t.lent -> 'is' = k.value -> 'is')), c.step + 1, s.deleted_at
        FROM chain AS c
            JOIN crm.leads AS s ON s.organization_id = %(organization)s AND s.id = c.stays
                AND s.deleted_at IS NOT NULL AND s.source_metadata ->> 'feed_deleted' = 'merged'
            JOIN crm.lead_feed AS f ON f.organization_id = %(organization)s AND f.lead_id = s.id AND f.written ? 'lent'
        WHERE c.step < 20
    )
    SELECT c.lead_id, c.stays, c.lent, c.step, c.merged_at
    FROM chain AS c
        JOIN crm.leads AS s ON s.organization_id = %(organization)s AND s.id = c.stays
        LEFT JOIN identity.alias AS a ON a.alias_id = s.golden_id
    WHERE s.erased_at IS NULL AND coalesce(a.person_id, s.golden_id) IS DISTINCT FROM c.person_id;
UPDATE crm.leads AS l SET consent = w.consent
    FROM (SELECT g.id, jsonb_agg(coalesce((
                  SELECT x
                  FROM feed_returned AS r
                      JOIN crm.leads AS s ON s.organization_id = %(organization)s AND s.id = r.stays,
                      jsonb_array_elements(s.consent) AS x
                  WHERE r.lead_id = g.id AND x @> e AND x ? 'revoked_at' ORDER BY r.step LIMIT 1), e) ORDER BY n) AS consent
          FROM crm.leads AS g, jsonb_array_elements(g.consent) WITH ORDINALITY AS c (e, n)
          WHERE g.organization_id = %(organization)s AND g.id IN (SELECT r.lead_id FROM feed_returned AS r)
          GROUP BY g.id) AS w
    WHERE l.organization_id = %(organization)s AND l.id = w.id AND l.consent <> w.consent;
-- Each field goes back from what was lent last to what stood there first.
CREATE TEMP TABLE feed_unlent ON COMMIT DROP AS
    WITH RECURSIVE given AS (
        SELECT r.stays, r.merged_at, r.step, k.key AS field, k.value AS lent
        FROM feed_returned AS r, jsonb_each(r.lent -> 'fields') AS k
    ), undone AS (
        SELECT g.stays, g.field, to_jsonb(s) -> g.field AS value, NULL::jsonb AS lent, 'infinity'::timestamptz AS merged_at,
            0 AS place
        FROM (SELECT DISTINCT d.stays, d.field FROM given AS d) AS g
            JOIN crm.leads AS s ON s.organization_id = %(organization)s AND s.id = g.stays
        UNION ALL
        SELECT u.stays, u.field, g.lent -> 'was', g.lent, g.merged_at, u.place + 1
        FROM undone AS u JOIN given AS g ON g.stays = u.stays AND g.field = u.field AND g.merged_at < u.merged_at
        WHERE CASE g.field WHEN 'created_at' THEN (g.lent ->> 'is')::timestamptz = (u.value #>> '{}')::timestamptz
                           ELSE g.lent -> 'is' = u.value END
    )
    SELECT DISTINCT ON (u.stays, u.field) u.stays, u.field, u.value AS was, u.lent ? 'written' AS had_written,
        u.lent -> 'written' AS written
    FROM undone AS u WHERE u.place > 0
    ORDER BY u.stays, u.field, u.place DESC;
UPDATE crm.leads AS l
    SET first_name = v.first_name, last_name = v.last_name, email = v.email, source = v.source, timezone = v.timezone,
        division = v.division, postal_code = v.postal_code, owner_id = v.owner_id, value_usd = v.value_usd,
        phone = CASE WHEN v.phone IS NOT DISTINCT FROM x.phone OR NOT EXISTS (
            SELECT FROM crm.leads AS o WHERE o.organization_id = x.organization_id AND o.phone = v.phone
                AND o.deleted_at IS NULL AND o.id <> x.id) THEN v.phone END,
        created_at = v.created_at,
        -- Of the tags those that the feed wrote go when the sources say them no more.
        tags = ARRAY(SELECT t FROM (
            SELECT unnest(x.tags) AS t
            EXCEPT (SELECT jsonb_array_elements_text(r.lent -> 'tags') FROM feed_returned AS r WHERE r.stays = x.id
                    EXCEPT SELECT jsonb_array_elements_text(coalesce(w.written -> 'tags', '[]')))) AS kept ORDER BY t),
        source_metadata = x.source_metadata - ARRAY(
            SELECT t.key FROM feed_returned AS r, jsonb_each(r.lent -> 'metadata') AS t
            WHERE r.stays = x.id AND x.source_metadata -> t.key = t.value),
        consent = (SELECT coalesce(jsonb_agg(e ORDER BY n), '[]')
                   FROM jsonb_array_elements(x.consent) WITH ORDINALITY AS c (e, n)
                   WHERE e NOT IN (SELECT jsonb_array_elements(r.lent -> 'consent') FROM feed_returned AS r
                                   WHERE r.stays = x.id))
    FROM crm.leads AS x
        LEFT JOIN crm.lead_feed AS w ON w.organization_id = %(organization)s AND w.lead_id = x.id,
        LATERAL (SELECT coalesce(jsonb_object_agg(u.field, u.was), '{}') AS fields
                 FROM feed_unlent AS u WHERE u.stays = x.id) AS back,
        LATERAL jsonb_populate_record(x, back.fields) AS v
    WHERE x.organization_id = %(organization)s AND x.id IN (SELECT r.stays FROM feed_returned AS r)
        AND l.organization_id = x.organization_id AND l.id = x.id;
UPDATE crm.lead_feed AS s SET written = s.written - u.fields || u.written
    FROM (SELECT u.stays, array_agg(u.field) AS fields,
              coalesce(jsonb_object_agg(u.field, u.written) FILTER (WHERE u.had_written), '{}') AS written
          FROM feed_unlent AS u
              JOIN crm.lead_feed AS w ON w.organization_id = %(organization)s AND w.lead_id = u.stays
          WHERE u.field <> 'created_at' AND EXISTS (
              SELECT FROM feed_returned AS r
              WHERE r.stays = u.stays AND r.lent #> ARRAY['fields', u.field, 'is'] = w.written -> u.field)
          GROUP BY u.stays) AS u
    WHERE s.organization_id = %(organization)s AND s.lead_id = u.stays;
UPDATE crm.lead_sequence_enrollments AS e SET lead_id = r.lead_id
    FROM (SELECT DISTINCT ON (n.id) n.id, r.lead_id, r.stays
          FROM feed_returned AS r, LATERAL (SELECT jsonb_array_elements_text(r.lent -> 'enrollments')::uuid AS id) AS n
              JOIN crm.lead_sequence_enrollments AS o ON o.organization_id = %(organization)s AND o.id = n.id
          WHERE o.lead_id = r.stays
          ORDER BY n.id, r.step DESC) AS r
    WHERE e.organization_id = %(organization)s AND e.id = r.id AND NOT (
        e.status IN ('active', 'paused') AND EXISTS (
            SELECT FROM crm.lead_sequence_enrollments AS o
            WHERE o.organization_id = e.organization_id AND o.lead_id = r.lead_id AND o.sequence_id = e.sequence_id
                AND o.status IN ('active', 'paused')));
UPDATE crm.sequence_message AS m
    SET lead_id = e.lead_id, recipient = CASE WHEN m.status NOT IN ('waiting', 'retry', 'parked') THEN m.recipient
                                              WHEN m.channel = 'email' THEN l.email ELSE l.phone END
    FROM feed_returned AS r
        JOIN crm.leads AS l ON l.organization_id = %(organization)s AND l.id = r.lead_id
        JOIN crm.lead_sequence_enrollments AS e ON e.organization_id = %(organization)s AND e.lead_id = r.lead_id
            AND r.lent -> 'enrollments' ? e.id::text
    WHERE m.organization_id = %(organization)s AND m.enrollment_id = e.id AND m.settled_at IS NULL
        AND m.lead_id <> e.lead_id;
-- What others lent to the same lead later stands on what was there before.
UPDATE crm.lead_feed AS f SET written = jsonb_set(f.written, '{lent,fields}', (
        SELECT coalesce(jsonb_object_agg(k.key, k.value || coalesce((
            SELECT jsonb_build_object('was', r.lent #> ARRAY['fields', k.key, 'was']) FROM feed_returned AS r
            WHERE r.stays::text = f.written #>> '{lent,to}' AND r.step = 1
                AND r.lent #> ARRAY['fields', k.key, 'is'] = k.value -> 'was' LIMIT 1), '{}')), '{}')
        FROM jsonb_each(f.written #> '{lent,fields}') AS k))
    FROM feed_match AS m
    WHERE f.organization_id = %(organization)s AND f.lead_id = m.lead_id AND NOT m.is_live
        AND f.written #>> '{lent,to}' IN (SELECT r.stays::text FROM feed_returned AS r WHERE r.step = 1);
UPDATE crm.lead_feed AS f SET written = f.written - 'lent'
    FROM feed_returned AS r
    WHERE f.organization_id = %(organization)s AND f.lead_id = r.lead_id AND r.step = 1

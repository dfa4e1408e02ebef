-- Leads that an import made, and that the sources have too, become leads of the feed: what the import said counts as
-- written by the feed, which puts the sources' values in its place. They are no records of identity any more. Consents that
-- the file gave go at once; what it took back stays.
--
-- organization_id, import_id, leads
WITH given AS (
    SELECT a.lead_id, e.consent
    FROM crm.lead_audit_log AS a,
        jsonb_array_elements(CASE WHEN a.new_value LIKE '[{%%' THEN a.new_value::jsonb ELSE '[]' END) AS e (consent)
    WHERE a.organization_id = %(organization_id)s AND a.lead_id = ANY (%(leads)s::uuid[])
        AND a.action = 'create' AND a.field_name = 'consent'
    UNION ALL
    SELECT r.lead_id, e.consent
    FROM crm.lead_import_row AS r,
        jsonb_array_elements(coalesce(r.changes -> 'consent' -> 'added', '[]')) AS e (consent)
    WHERE r.organization_id = %(organization_id)s AND r.import_id = %(import_id)s AND r.lead_id = ANY (%(leads)s::uuid[])
), changed AS (
    UPDATE crm.leads AS l
        SET source_metadata = coalesce((
                SELECT jsonb_object_agg(m.key, m.value) FROM jsonb_each(l.source_metadata) AS m
                WHERE m.key = ANY ('{crm_source,crm_sources,crm_status}')
                    OR m.key = 'shared_phones' AND m.value = f.written -> 'shared_phones'), '{}'),
            tags = ARRAY(SELECT t FROM unnest(l.tags) AS t
                         WHERE f.written -> 'tags' ? t OR NOT coalesce(f.entered -> 'tags' ? t, false)),
            consent = (SELECT coalesce(jsonb_agg(c.this ORDER BY c.place), '[]')
                       FROM jsonb_array_elements(l.consent) WITH ORDINALITY AS c (this, place)
                       WHERE c.this ?| '{revoked_at,record}' OR NOT EXISTS (
                           SELECT FROM given AS g WHERE g.lead_id = l.id AND g.consent = c.this))
        FROM crm.lead_feed AS f
        WHERE l.organization_id = %(organization_id)s AND l.id = ANY (%(leads)s::uuid[])
            AND f.organization_id = l.organization_id AND f.lead_id = l.id
        RETURNING l.id, to_jsonb(l) AS now_
)
UPDATE crm.lead_feed AS f
    SET entered = NULL, written = f.written || coalesce((
        SELECT jsonb_object_agg(e.key, e.value) FROM jsonb_each(f.entered) AS e
        WHERE e.key <> ALL ('{tags,crm_source,timezone}') AND e.value IS NOT DISTINCT FROM c.now_ -> e.key), '{}')
    FROM changed AS c
    WHERE f.organization_id = %(organization_id)s AND f.lead_id = c.id

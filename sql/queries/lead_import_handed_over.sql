-- Leads that an import made, and that the sources have too, become leads of the feed: what the import said counts as
-- written by the feed, which puts the sources' values in its place. They are no records of identity any more.
--
-- organization_id, leads
WITH changed AS (
    UPDATE crm.leads AS l
        SET source_metadata = coalesce((
                SELECT jsonb_object_agg(m.key, m.value) FROM jsonb_each(l.source_metadata) AS m
                WHERE m.key = ANY ('{crm_source,crm_sources,crm_status}')
                    OR m.key = 'shared_phones' AND m.value = f.written -> 'shared_phones'), '{}'),
            tags = ARRAY(SELECT t FROM unnest(l.tags) AS t
                         WHERE f.written -> 'tags' ? t OR NOT coalesce(f.entered -> 'tags' ? t, false))
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

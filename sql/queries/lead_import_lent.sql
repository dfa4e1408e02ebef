-- Of leads that became part of another one, which is there: what they have, and by the log of the other what changed of it
-- since. All values are texts, as in the log. `proposed` is what the sources say of the other; `metadata` what the other has
-- of source_metadata.
--
-- organization_id, leads, fields (of the log)
WITH RECURSIVE part AS (
    SELECT l.id AS lead_id, l.deleted_at AS since, crm.merged_into(l.source_metadata) AS other_id
    FROM crm.leads AS l
    WHERE l.organization_id = %(organization_id)s AND l.id = ANY (%(leads)s::uuid[]) AND l.deleted_at IS NOT NULL
    UNION
    SELECT p.lead_id, p.since, crm.merged_into(l.source_metadata)
    FROM part AS p
        JOIN crm.leads AS l ON l.organization_id = %(organization_id)s AND l.deleted_at IS NOT NULL AND l.id = p.other_id
)
SELECT p.lead_id::text, o.id::text AS other_id, has.texts AS has, other.texts AS other_has, said.texts AS proposed, log.changes,
    coalesce(m.written #> '{lent,metadata}', '{}') AS metadata
FROM part AS p
    JOIN crm.leads AS l ON l.organization_id = %(organization_id)s AND l.id = p.lead_id
    JOIN crm.leads AS o ON o.organization_id = %(organization_id)s AND o.deleted_at IS NULL AND o.id = p.other_id
    LEFT JOIN crm.lead_feed AS m ON m.organization_id = l.organization_id AND m.lead_id = l.id
    LEFT JOIN crm.lead_feed AS f ON f.organization_id = o.organization_id AND f.lead_id = o.id,
    LATERAL (SELECT jsonb_object_agg(v.key, v.value) AS texts FROM jsonb_each_text(to_jsonb(l)) AS v) AS has,
    LATERAL (SELECT jsonb_object_agg(v.key, v.value) AS texts FROM jsonb_each_text(to_jsonb(o)) AS v) AS other,
    LATERAL (SELECT coalesce(jsonb_object_agg(v.key, v.value), '{}') AS texts
             FROM jsonb_each_text(coalesce(f.proposed, '{}')) AS v) AS said,
    LATERAL (
        SELECT coalesce(jsonb_agg(jsonb_build_array(a.field_name, a.old_value, a.new_value, a.changed_by IS NOT NULL)
                                  ORDER BY a.created_at), '[]') AS changes
        FROM crm.lead_audit_log AS a
        WHERE a.organization_id = o.organization_id AND a.lead_id = o.id AND a.created_at >= p.since
            AND a.action = 'update' AND a.field_name = ANY (%(fields)s)) AS log
ORDER BY p.lead_id

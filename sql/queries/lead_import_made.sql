-- The leads that an import made, locked, and why each must stay: null when nothing is known of it but the import. `fed`:
-- the sources have the person too, and the feed took the lead over, or made it part of another one. `took_back`: it has a
-- consent that was taken back.
--
-- organization_id, import_id
WITH made AS (
    SELECT DISTINCT ON (r.lead_id) r.lead_id, r.fingerprint FROM crm.lead_import_row AS r
    WHERE r.organization_id = %(organization_id)s AND r.import_id = %(import_id)s AND r.fingerprint IS NOT NULL
        AND EXISTS (SELECT FROM crm.lead_import_row AS c
                    WHERE c.organization_id = r.organization_id AND c.import_id = r.import_id AND c.lead_id = r.lead_id
                        AND c.outcome = 'created')
    ORDER BY r.lead_id, r.row_number DESC)
SELECT l.id::text AS id, CASE
    WHEN l.deleted_at IS NOT NULL AND NOT l.source_metadata ? 'feed_deleted' THEN 'it was deleted before'
    -- What the feed wrote is nobody's work.
    WHEN CASE WHEN f.lead_id IS NULL THEN made.fingerprint <> crm.lead_fingerprint(l)
              ELSE EXISTS (SELECT FROM crm.lead_audit_log AS a
                           WHERE a.organization_id = l.organization_id AND a.lead_id = l.id AND a.changed_by IS NOT NULL
                               AND a.field_name <> 'golden_id') END THEN 'somebody changed it since'
    WHEN EXISTS (SELECT FROM crm.lead_sequence_enrollments AS e
                 WHERE e.organization_id = l.organization_id AND e.lead_id = l.id)
        OR f.written #> '{lent,enrollments}' <> '[]' THEN 'it was enrolled in a sequence'
    WHEN EXISTS (SELECT FROM crm.dnc_list AS d
                 WHERE d.organization_id = l.organization_id AND d.lead_id = l.id AND d.detected_by <> 'import')
        THEN 'somebody put it on the do-not-call list'
    WHEN EXISTS (SELECT FROM crm.lead_import_row AS o JOIN crm.lead_import AS i
                     ON i.organization_id = o.organization_id AND i.id = o.import_id
                 WHERE o.organization_id = l.organization_id AND o.lead_id = l.id AND o.import_id <> %(import_id)s
                     AND i.status <> 'undone') THEN 'another import has it too'
    END AS stays,
    coalesce(f.proposed <> '{}', false) AND l.deleted_at IS NULL AS fed,
    l.consent @? '$[*].revoked_at' AS took_back
FROM made JOIN crm.leads AS l ON l.organization_id = %(organization_id)s AND l.id = made.lead_id
    LEFT JOIN crm.lead_feed AS f ON f.organization_id = l.organization_id AND f.lead_id = l.id
ORDER BY l.id
FOR UPDATE OF l

-- The sequences of an organization with their enrollments by status.
--
-- organization
SELECT s.id, s.name, s.is_active, jsonb_array_length(s.steps) AS steps, g.name AS segment,
    count(*) FILTER (WHERE e.status = 'active') AS active, count(*) FILTER (WHERE e.status = 'paused') AS paused,
    count(*) FILTER (WHERE e.status = 'completed') AS completed, count(*) FILTER (WHERE e.status = 'stopped') AS stopped
FROM crm.nurture_sequences AS s
    LEFT JOIN crm.segments AS g ON g.organization_id = s.organization_id AND g.id = s.segment_id
    LEFT JOIN crm.lead_sequence_enrollments AS e ON e.organization_id = s.organization_id AND e.sequence_id = s.id
WHERE s.organization_id = %(organization)s GROUP BY s.id, s.organization_id, g.name ORDER BY s.name, s.id

-- The oldest message whose worker began to hand it over, longer ago than the lease, and whose enrollment has ended since:
-- locked; none that another worker has.
--
-- organization, lease
SELECT m.enrollment_id AS id, m.step, m.lead_id, m.channel, m.sender, e.status AS stands,
    coalesce(e.stop_reason, '') AS reason
FROM crm.sequence_message AS m
    JOIN crm.lead_sequence_enrollments AS e ON e.organization_id = m.organization_id AND e.id = m.enrollment_id
WHERE m.organization_id = %(organization)s AND m.settled_at IS NULL AND m.status = 'sending'
    AND m.handed_over_at < now() - %(lease)s AND e.status IN ('stopped', 'completed')
ORDER BY m.created_at LIMIT 1 FOR UPDATE OF m SKIP LOCKED

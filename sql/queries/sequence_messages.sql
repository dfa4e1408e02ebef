-- Messages of an organization that are not settled, or those of a status; whether the lead may be reached now.
--
-- organization, status (null: what is open), limit
SELECT m.id, m.channel, m.status, m.recipient, m.subject, m.body, m.problem, m.created_at, m.sender, s.name AS sequence,
    m.step, l.first_name, l.last_name, l.timezone, l.postal_code, l.phone,
    CASE WHEN m.settled_at IS NOT NULL THEN NULL WHEN l.deleted_at IS NOT NULL THEN 'deleted'
         WHEN l.status IN ('won', 'lost', 'disqualified') THEN l.status
         ELSE crm.lead_block_reason(l, m.channel) END AS blocked
FROM crm.sequence_message AS m
    JOIN crm.leads AS l ON l.organization_id = m.organization_id AND l.id = m.lead_id
    JOIN crm.lead_sequence_enrollments AS e ON e.organization_id = m.organization_id AND e.id = m.enrollment_id
    JOIN crm.nurture_sequences AS s ON s.organization_id = e.organization_id AND s.id = e.sequence_id
WHERE m.organization_id = %(organization)s
    AND CASE WHEN %(status)s::text IS NULL THEN m.settled_at IS NULL ELSE m.status = %(status)s END
ORDER BY m.created_at DESC LIMIT %(limit)s

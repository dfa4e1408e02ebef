-- Enrolls a lead, unless another lead of its person is or was in the sequence.
--
-- organization, lead_id, sequence_id
SELECT crm.enroll_lead(%(lead_id)s, %(sequence_id)s)
WHERE NOT EXISTS (
    SELECT FROM crm.leads AS l
        JOIN crm.leads AS o ON o.organization_id = l.organization_id AND o.golden_id = l.golden_id
        JOIN crm.lead_sequence_enrollments AS e ON e.organization_id = o.organization_id AND e.lead_id = o.id
    WHERE l.organization_id = %(organization)s AND l.id = %(lead_id)s AND e.sequence_id = %(sequence_id)s)

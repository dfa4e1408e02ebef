-- The parked messages whose problem has these words, in any case; the oldest first.
--
-- organization, problem
SELECT m.id FROM crm.sequence_message AS m
WHERE m.organization_id = %(organization)s AND m.settled_at IS NULL AND m.status = 'parked'
    AND strpos(lower(m.problem), lower(%(problem)s::text)) > 0
ORDER BY m.created_at, m.id

-- Counts attempts of a message otherwise: by so many more, or from the start (null).
--
-- organization, enrollment, step, change
UPDATE crm.sequence_message SET attempts = greatest(0, coalesce(attempts + %(change)s::integer, 0))
WHERE organization_id = %(organization)s AND enrollment_id = %(enrollment)s AND step = %(step)s

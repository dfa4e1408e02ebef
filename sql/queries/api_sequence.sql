-- A sequence of steps.
--
-- id
SELECT s.id, s.name, s.steps, s.trigger_conditions, s.segment_id, s.is_active, s.created_at, s.updated_at
FROM crm.nurture_sequences AS s WHERE s.id = %(id)s

-- Makes a sequence of steps.
--
-- organization, name, steps, trigger_conditions, segment_id, is_active
INSERT INTO crm.nurture_sequences (organization_id, name, steps, trigger_conditions, segment_id, is_active)
VALUES (%(organization)s, %(name)s, %(steps)s, %(trigger_conditions)s, %(segment_id)s, %(is_active)s)
RETURNING id

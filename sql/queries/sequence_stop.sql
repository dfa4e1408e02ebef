-- Stops the sequences of the person of a lead, and of leads with its e-mail address, that have a step over one of these
-- channels before them.
--
-- organization, lead, channels
UPDATE crm.lead_sequence_enrollments AS e
SET status = 'stopped', stop_reason = 'dnc', completed_at = clock_timestamp(), next_run_at = NULL,
    execution_log = e.execution_log || jsonb_build_object(
        'step', e.current_step, 'event', 'stopped', 'at', clock_timestamp(), 'reason', 'dnc')
FROM crm.nurture_sequences AS s, crm.leads_of_person(%(lead)s, true) AS t (id)
WHERE s.organization_id = e.organization_id AND s.id = e.sequence_id AND t.id = e.lead_id
    AND e.organization_id = %(organization)s AND e.status IN ('active', 'paused')
    AND EXISTS (SELECT FROM jsonb_array_elements(s.steps) WITH ORDINALITY AS x (step, place)
                WHERE x.place > e.current_step
                    AND CASE x.step ->> 'channel' WHEN 'voicemail' THEN 'call' ELSE x.step ->> 'channel' END
                        = ANY (%(channels)s::text[]))

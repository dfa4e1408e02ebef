-- Leads of the segments of active sequences that never were in them, and that nothing keeps from any step.
-- `trigger_conditions` must be found in the lead, such as {"status": "new"}.
--
-- organization, limit
SELECT found.lead_id, found.sequence_id
FROM crm.nurture_sequences AS s
    JOIN crm.segments AS g ON g.organization_id = s.organization_id AND g.id = s.segment_id,
    LATERAL (
        SELECT l.id AS lead_id, s.id AS sequence_id
        FROM crm.evaluate_filter(g.filter_criteria) AS f (id)
            JOIN crm.leads AS l ON l.organization_id = s.organization_id AND l.id = f.id
        WHERE l.status NOT IN ('won', 'lost', 'disqualified') AND to_jsonb(l) @> s.trigger_conditions
            -- Most leads have agreed to nothing, which is told sooner than by asking for each step.
            AND (l.consent <> '[]'
                 OR NOT jsonb_path_exists(s.steps, '$[*] ? (@.channel != "mail" && @.channel != "task")'))
            AND NOT EXISTS (SELECT FROM crm.leads AS o JOIN crm.lead_sequence_enrollments AS e
                                ON e.organization_id = o.organization_id AND e.lead_id = o.id AND e.sequence_id = s.id
                            WHERE o.organization_id = l.organization_id AND o.golden_id = l.golden_id)
            AND NOT EXISTS (SELECT FROM crm.lead_sequence_enrollments AS e
                            WHERE e.organization_id = l.organization_id AND e.sequence_id = s.id AND e.lead_id = l.id)
            AND NOT EXISTS (SELECT FROM jsonb_array_elements(s.steps) AS x (step)
                            WHERE crm.lead_block_reason(l, x.step ->> 'channel') IS NOT NULL)
        LIMIT %(limit)s
    ) AS found
WHERE s.organization_id = %(organization)s AND s.is_active AND s.steps <> '[]'
LIMIT %(limit)s

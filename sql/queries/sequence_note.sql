-- What became of a message that was not sent; a row for it where there was none.
--
-- organization, enrollment, step, lead, channel, status, problem
INSERT INTO crm.sequence_message AS m
    (organization_id, enrollment_id, step, lead_id, channel, status, problem, settled_at)
VALUES (%(organization)s, %(enrollment)s, %(step)s, %(lead)s, %(channel)s, %(status)s, %(problem)s,
        CASE WHEN %(status)s = 'withheld' THEN clock_timestamp() END)
ON CONFLICT (organization_id, enrollment_id, step) DO UPDATE
    SET status = excluded.status, problem = excluded.problem, settled_at = excluded.settled_at
    WHERE m.settled_at IS NULL

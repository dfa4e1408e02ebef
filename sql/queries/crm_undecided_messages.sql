-- Messages of sequences that a person has to decide: parked, uncertain, or a call that has waited for a day.
SELECT m.status, m.channel, count(*) AS messages, min(m.created_at) AS oldest
FROM crm.sequence_message AS m
WHERE m.settled_at IS NULL
    AND (m.status IN ('parked', 'uncertain') OR m.status = 'waiting' AND m.created_at < now() - interval '1 day')
GROUP BY m.status, m.channel ORDER BY 3 DESC

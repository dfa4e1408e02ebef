-- The records of a person, each with the strongest edge that joins it to another one of them. No value of a record.
--
-- person
SELECT m.source_table, m.source_key, m.since, r.created_at, r.updated_at, r.deleted, e.score, e.evidence,
    e.other_table, e.other_key
FROM identity.member AS m
    JOIN identity.record AS r USING (record_id)
    LEFT JOIN LATERAL (
        SELECT x.score, x.evidence, o.source_table AS other_table, o.source_key AS other_key
        FROM (
            SELECT b_id AS other_id, score, evidence FROM identity.edge WHERE a_id = m.record_id AND relation = 'person'
            UNION ALL
            SELECT a_id, score, evidence FROM identity.edge WHERE b_id = m.record_id AND relation = 'person'
        ) AS x
            JOIN identity.member AS o ON o.record_id = x.other_id AND o.person_id = m.person_id
        ORDER BY x.score DESC, o.source_table, o.source_key LIMIT 1
    ) AS e ON true
WHERE m.person_id = %(person)s
ORDER BY r.created_at NULLS LAST, m.source_table, m.source_key LIMIT 200

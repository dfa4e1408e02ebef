-- All records that edges, decisions or a common person join to some records, themselves among them. Parameter: their ids.
--
-- OFFSET 0: the planner expects half of all records from a recursion, and would join the whole table.
WITH RECURSIVE decided AS MATERIALIZED (
    SELECT a.record_id AS a_id, b.record_id AS b_id
    FROM identity.decision AS d
        JOIN identity.record AS a ON a.source_table = d.a_table AND a.source_key = d.a_key
        JOIN identity.record AS b ON b.source_table = d.b_table AND b.source_key = d.b_key
    WHERE d.verdict = 'same' AND d.withdrawn_at IS NULL
),
reached (record_id) AS (
    SELECT unnest(%(ids)s::bigint[])
    UNION
    SELECT next.record_id
    FROM reached AS r
        CROSS JOIN LATERAL (
            SELECT e.b_id FROM identity.edge AS e WHERE e.a_id = r.record_id AND e.relation = 'person'
            UNION ALL
            SELECT e.a_id FROM identity.edge AS e WHERE e.b_id = r.record_id AND e.relation = 'person'
            UNION ALL
            SELECT d.b_id FROM decided AS d WHERE d.a_id = r.record_id
            UNION ALL
            SELECT d.a_id FROM decided AS d WHERE d.b_id = r.record_id
            UNION ALL
            SELECT other.record_id
            FROM identity.member AS m JOIN identity.member AS other ON other.person_id = m.person_id
            WHERE m.record_id = r.record_id
        ) AS next (record_id)
)
SELECT r.record_id
FROM reached AS r
    CROSS JOIN LATERAL (
        SELECT FROM identity.record AS k WHERE k.record_id = r.record_id AND k.kind <> 'touch' OFFSET 0
    ) AS known

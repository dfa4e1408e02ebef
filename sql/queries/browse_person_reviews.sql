-- Pairs that wait for a decision, of a person or of anybody (null), the likeliest first.
--
-- person, size
SELECT a.source_table AS a_table, a.source_key AS a_key, b.source_table AS b_table, b.source_key AS b_key,
    am.person_id AS a_person, bm.person_id AS b_person, r.score, r.reason, r.evidence, r.since
FROM identity.review AS r
    JOIN identity.record AS a ON a.record_id = r.a_id
    JOIN identity.record AS b ON b.record_id = r.b_id
    LEFT JOIN identity.member AS am ON am.record_id = r.a_id
    LEFT JOIN identity.member AS bm ON bm.record_id = r.b_id
WHERE %(person)s::uuid IS NULL OR r.a_id IN (SELECT record_id FROM identity.member WHERE person_id = %(person)s)
    OR r.b_id IN (SELECT record_id FROM identity.member WHERE person_id = %(person)s)
ORDER BY r.score DESC, a.source_table, a.source_key, b.source_table, b.source_key LIMIT %(size)s

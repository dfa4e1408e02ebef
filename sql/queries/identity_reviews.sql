-- The best pair of each two people with an edge that nobody has decided about, for `reviews`.
-- Parameter: the ids of records of which one must be in it, null for all.
WITH near AS (
    SELECT e.a_id, e.b_id, e.relation, e.score, e.evidence, a.person_id AS a_person, b.person_id AS b_person,
        a.source_table AS a_table, a.source_key AS a_key, b.source_table AS b_table, b.source_key AS b_key
    FROM identity.edge AS e
        JOIN identity.member AS a ON a.record_id = e.a_id
        JOIN identity.member AS b ON b.record_id = e.b_id
    WHERE e.relation IN ('person', 'review') AND a.person_id <> b.person_id
        AND (%(ids)s::bigint[] IS NULL OR e.a_id = ANY (%(ids)s::bigint[]) OR e.b_id = ANY (%(ids)s::bigint[]))
),
apart AS MATERIALIZED (
    SELECT least(a.person_id, b.person_id) AS one, greatest(a.person_id, b.person_id) AS other
    FROM identity.decision AS d
        JOIN identity.member AS a ON a.source_table = d.a_table AND a.source_key = d.a_key
        JOIN identity.member AS b ON b.source_table = d.b_table AND b.source_key = d.b_key
    WHERE d.verdict = 'apart' AND d.withdrawn_at IS NULL
)
SELECT DISTINCT ON (least(a_person, b_person), greatest(a_person, b_person)) a_id, b_id, relation, score, evidence
FROM near
WHERE (least(a_person, b_person), greatest(a_person, b_person)) NOT IN (SELECT one, other FROM apart)
ORDER BY least(a_person, b_person), greatest(a_person, b_person), score DESC,
    least((a_table, a_key), (b_table, b_key)), greatest((a_table, a_key), (b_table, b_key))

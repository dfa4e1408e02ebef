-- What people decided of the records of a person, taken back or not, the newest first.
--
-- person
SELECT DISTINCT d.decision_id, d.verdict, d.command, d.a_table, d.a_key, d.b_table, d.b_key, d.reason, d.decided_by,
    d.decided_at, d.withdrawn_at
FROM identity.member AS m
    JOIN identity.decision AS d
        ON (d.a_table, d.a_key) = (m.source_table, m.source_key) OR (d.b_table, d.b_key) = (m.source_table, m.source_key)
WHERE m.person_id = %(person)s ORDER BY d.decision_id DESC LIMIT 100

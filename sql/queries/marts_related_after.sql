-- Keep which groups are crowded, and which rows the run computes anew.
INSERT INTO marts.crowded_group
    SELECT m.relation, m.via FROM mart_member AS m GROUP BY m.relation, m.via HAVING count(*) > 50
    ON CONFLICT DO NOTHING;
INSERT INTO mart_pair
    SELECT r.a_id, r.b_id, r.relation FROM marts.relationships AS r WHERE r.relation = 'referral'
    UNION
    SELECT r.a_id, r.b_id, r.relation
    FROM mart_person AS p JOIN marts.relationships AS r ON r.a_id = p.person_id
    WHERE r.b_id IN (SELECT person_id FROM mart_person)

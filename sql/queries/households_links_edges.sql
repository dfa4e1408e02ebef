-- Pairs of household_person that an edge joins, the strongest first. Who live at two properties have two households,
-- whatever they share: numbers pass from one household to another.
SELECT a.no, b.no
FROM identity.edge AS e
    JOIN identity.member AS am ON am.record_id = e.a_id
    JOIN identity.member AS bm ON bm.record_id = e.b_id
    JOIN household_person AS a ON a.person_id = am.person_id
    JOIN household_person AS b ON b.person_id = bm.person_id
WHERE e.relation = 'household' AND a.no <> b.no
    AND (a.property_no = b.property_no OR a.property_no = 0 OR b.property_no = 0)
ORDER BY e.score DESC, least((am.source_table, am.source_key), (bm.source_table, bm.source_key)),
    greatest((am.source_table, am.source_key), (bm.source_table, bm.source_key))

-- Add the groups by which the people of the run are related so far, without those that are crowded; and who is related by
-- one of the groups.
INSERT INTO mart_group
    SELECT CASE r.relation WHEN 'spouse' THEN 'household' ELSE r.relation END, r.via
    FROM mart_person AS p JOIN marts.relationships AS r ON r.a_id = p.person_id WHERE r.via IS NOT NULL
    UNION
    SELECT CASE r.relation WHEN 'spouse' THEN 'household' ELSE r.relation END, r.via
    FROM mart_person AS p JOIN marts.relationships AS r ON r.b_id = p.person_id WHERE r.via IS NOT NULL
    ON CONFLICT DO NOTHING;
INSERT INTO mart_person
    SELECT r.a_id FROM mart_group AS g JOIN marts.relationships AS r ON r.via = g.via
    UNION
    SELECT r.b_id FROM mart_group AS g JOIN marts.relationships AS r ON r.via = g.via
    ON CONFLICT DO NOTHING

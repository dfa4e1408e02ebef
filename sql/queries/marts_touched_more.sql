-- Add the people whom a mart's own SELECT finds. {found} is composed.
INSERT INTO mart_person
    SELECT f.person_id FROM ({found}) AS f JOIN identity.person AS p USING (person_id)
    ON CONFLICT DO NOTHING

-- The persons of household_scope who have another household than before, or none; with the one that they leave.
SELECT p.person_id, now_in.household_id, p.household_id
FROM household_scope AS s
    JOIN identity.person AS p ON p.person_id = s.person_id
    LEFT JOIN (
        SELECT hp.person_id, m.household_id
        FROM household_person AS hp
            JOIN household_group AS g ON g.no = hp.no
            JOIN household_made AS m ON m.grp = g.grp
    ) AS now_in ON now_in.person_id = p.person_id
WHERE p.household_id IS DISTINCT FROM now_in.household_id

-- The activities of people, and of records of people, that are no more, whenever they were deleted. It reads all.
INSERT INTO mart_row (source_table, source_key)
    SELECT t.source_table, t.source_key
    FROM marts.activity_timeline AS t
    WHERE t.person_id IS NOT NULL AND NOT EXISTS (SELECT FROM identity.person AS p WHERE p.person_id = t.person_id)
    ON CONFLICT DO NOTHING;
INSERT INTO mart_row (source_table, source_key)
    SELECT t.source_table, t.source_key
    FROM marts.activity_timeline AS t
    WHERE t.our_user_id IS NOT NULL AND NOT EXISTS (SELECT FROM identity.person AS p WHERE p.person_id = t.our_user_id)
    ON CONFLICT DO NOTHING;
INSERT INTO mart_row (source_table, source_key)
    SELECT t.source_table, t.source_key
    FROM marts.activity_timeline AS t
    -- Whose a row of crm is, its lead says.
    WHERE t.person_id IS NOT NULL AND t.certainty = 1 AND t.person_table <> 'crm.leads'
        AND NOT EXISTS (SELECT FROM identity.member AS m
                        WHERE m.source_table = t.person_table AND m.source_key = t.person_key)
        AND NOT EXISTS (SELECT FROM identity.touch AS u
                        WHERE u.source_table = t.person_table AND u.source_key = t.person_key)
    ON CONFLICT DO NOTHING

-- The activities of people, and of records of people, that were deleted since a time.
INSERT INTO mart_row (source_table, source_key)
    SELECT t.source_table, t.source_key
    FROM identity.deletion AS d JOIN marts.activity_timeline AS t ON t.person_id = d.person_id
    WHERE d.table_name = 'identity.person' AND d.deleted_at > %(since)s
        AND NOT EXISTS (SELECT FROM identity.person AS p WHERE p.person_id = d.person_id)
    UNION
    SELECT t.source_table, t.source_key
    FROM identity.deletion AS d JOIN marts.activity_timeline AS t ON t.our_user_id = d.person_id
    WHERE d.table_name = 'identity.person' AND d.deleted_at > %(since)s
        AND NOT EXISTS (SELECT FROM identity.person AS p WHERE p.person_id = d.person_id)
    UNION
    SELECT t.source_table, t.source_key
    FROM identity.deletion AS d
        JOIN marts.activity_timeline AS t ON t.person_table = d.source_table AND t.person_key = d.source_key
    -- Whose a row of crm is, its lead says.
    WHERE d.table_name IN ('identity.member', 'identity.touch') AND d.deleted_at > %(since)s
        AND t.person_id IS NOT NULL AND t.certainty = 1 AND t.person_table <> 'crm.leads'
        AND NOT EXISTS (SELECT FROM identity.member AS m
                        WHERE m.source_table = t.person_table AND m.source_key = t.person_key)
        AND NOT EXISTS (SELECT FROM identity.touch AS u
                        WHERE u.source_table = t.person_table AND u.source_key = t.person_key)
    ON CONFLICT DO NOTHING

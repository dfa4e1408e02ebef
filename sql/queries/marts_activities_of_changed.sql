-- The activities of records that identity gave to somebody else, and of people whose household or name changed.
INSERT INTO mart_row (source_table, source_key)
    SELECT t.source_table, t.source_key
    FROM identity.member AS m
        JOIN marts.activity_timeline AS t ON t.person_table = m.source_table AND t.person_key = m.source_key
    WHERE m.since > %(since)s
    UNION
    SELECT t.source_table, t.source_key
    FROM identity.touch AS u
        JOIN marts.activity_timeline AS t ON t.person_table = u.source_table AND t.person_key = u.source_key
    WHERE u.updated_at > %(since)s
    UNION
    SELECT t.source_table, t.source_key
    FROM identity.person AS p JOIN marts.activity_timeline AS t ON t.person_id = p.person_id
    WHERE p.updated_at > %(since)s AND t.household_id IS DISTINCT FROM p.household_id
    UNION
    SELECT t.source_table, t.source_key
    FROM identity.person AS p JOIN marts.activity_timeline AS t ON t.our_user_id = p.person_id
    WHERE p.updated_at > %(since)s AND p.kind = 'staff' AND t.our_user IS DISTINCT FROM p.display_name
    UNION
    SELECT t.source_table, t.source_key
    FROM identity.member AS m
        JOIN marts.activity_timeline AS t ON t.user_table = m.source_table AND t.user_key = m.source_key
    WHERE m.since > %(since)s AND t.our_user_id IS DISTINCT FROM m.person_id
    UNION
    -- Users of crm are known by their ids.
    SELECT t.source_table, t.source_key
    FROM identity.alias AS a JOIN marts.activity_timeline AS t ON t.our_user_id = a.alias_id
    WHERE a.created_at > %(since)s
    UNION
    SELECT t.source_table, t.source_key
    FROM identity.person AS p
        JOIN marts.activity_timeline AS t ON t.user_table = 'crm.organization_member' AND t.user_key = p.person_id::text
    WHERE p.updated_at > %(since)s AND t.our_user_id IS DISTINCT FROM p.person_id
    ON CONFLICT DO NOTHING

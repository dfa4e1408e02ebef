-- The people who were deleted since a time and of whom a mart has rows. {table} is composed.
INSERT INTO mart_left
    SELECT DISTINCT d.person_id FROM identity.deletion AS d
    WHERE d.table_name = 'identity.person' AND d.deleted_at > %(since)s AND d.person_id IS NOT NULL
        AND NOT EXISTS (SELECT FROM identity.person AS p WHERE p.person_id = d.person_id)
        AND EXISTS (SELECT FROM {table} AS o WHERE o.person_id = d.person_id)

-- The people of whom a mart has rows and who are no more, whenever they were deleted; it reads all. {table} is composed.
INSERT INTO mart_left
    SELECT DISTINCT o.person_id FROM {table} AS o
    WHERE o.person_id IS NOT NULL AND %(since)s::timestamptz IS NOT NULL
        AND NOT EXISTS (SELECT FROM identity.person AS p WHERE p.person_id = o.person_id)

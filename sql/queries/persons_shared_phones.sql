-- The phones of person_candidate that persons at two properties have, or more persons than `most`: whose they are, is
-- not known. Persons who were not asked count with what stands in identity.person.
WITH held AS (
    SELECT c.value AS phone, c.person_id, a.property
    FROM (SELECT DISTINCT person_id, value FROM person_candidate WHERE field = 'phone') AS c
        LEFT JOIN (
            SELECT v.person_id, v.value AS property
            FROM person_value AS v JOIN identity.record AS r ON r.record_id = v.record_id
            WHERE v.field = 'address' AND v.is_best AND r.street IS NOT NULL AND r.zip IS NOT NULL
        ) AS a ON a.person_id = c.person_id
    UNION ALL
    SELECT c.phone, p.person_id,
        CASE WHEN p.street IS NOT NULL AND p.zip IS NOT NULL
            THEN concat_ws('|', p.street, coalesce(p.unit, ''), p.zip) END
    FROM (
        SELECT DISTINCT value COLLATE "default" AS phone FROM person_candidate WHERE field = 'phone' AND NOT %(all)s
    ) AS c
        JOIN identity.person AS p ON p.phones @> ARRAY[c.phone]
        LEFT JOIN person_asked AS a ON a.person_id = p.person_id
    WHERE a.person_id IS NULL
)
SELECT phone FROM held GROUP BY phone HAVING min(property) <> max(property) OR count(*) > %(most)s

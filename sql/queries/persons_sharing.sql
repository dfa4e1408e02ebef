-- The persons who have a phone that a person of person_asked has or had, or one of `keys`: which of their phones is
-- the best may depend on it. A phone of more persons than `most` is nobody's, and leads to none.
WITH phone AS (
    SELECT unnest(p.phones) AS phone FROM person_asked AS a JOIN identity.person AS p ON p.person_id = a.person_id
    UNION
    SELECT unnest(r.phones)
    FROM person_asked AS a
        JOIN identity.member AS m ON m.person_id = a.person_id
        JOIN identity.record AS r ON r.record_id = m.record_id
    UNION
    SELECT substr(key, 3) FROM unnest(%(keys)s::text[]) AS key WHERE left(key, 2) = 'p:'
), holder AS (
    SELECT f.phone, h.person_id
    FROM phone AS f
        JOIN identity.person AS h ON h.phones @> ARRAY[f.phone]
)
SELECT DISTINCT h.person_id
FROM holder AS h
    JOIN (SELECT phone FROM holder GROUP BY phone HAVING count(*) <= %(most)s) AS few USING (phone)
WHERE NOT EXISTS (SELECT FROM person_asked AS a WHERE a.person_id = h.person_id)

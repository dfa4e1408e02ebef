-- Which of some keys became crowded, or are so no longer. Parameters: the keys, and how many records make one crowded.
-- An address of staff is crowded however few have it.
--
-- OFFSET 0: the planner expects one in two hundred rows to contain a key, and would read the table until it finds one.
WITH asked AS MATERIALIZED (SELECT DISTINCT key FROM unnest(%(keys)s::text[]) AS k (key)),
counted AS MATERIALIZED (
    SELECT a.key, c.key IS NOT NULL AS was_crowded, n.records > %(cap)s OR staff.records > 0 AS is_crowded
    FROM asked AS a
        LEFT JOIN identity.crowded_key AS c ON c.key = a.key
        CROSS JOIN LATERAL (
            SELECT count(*) AS records
            FROM (
                SELECT FROM identity.record AS r WHERE r.block_keys @> ARRAY[a.key] AND r.kind <> 'touch'
                LIMIT %(cap)s + 1
            ) AS shared
        ) AS n
        CROSS JOIN LATERAL (
            SELECT count(*) AS records
            FROM (
                SELECT FROM identity.record AS r
                WHERE left(a.key, 2) = 'e:' AND r.block_keys @> ARRAY['staff:' || a.key] OFFSET 0
            ) AS of_staff
        ) AS staff
)
SELECT key, is_crowded AS crowded FROM counted WHERE was_crowded <> is_crowded

-- Which of some keys became crowded, or are so no longer. Parameters: the keys, and how many records make one crowded.
WITH asked AS MATERIALIZED (SELECT DISTINCT key FROM unnest(%(keys)s::text[]) AS k (key)),
counted AS MATERIALIZED (
    SELECT a.key, c.key IS NOT NULL AS was_crowded, n.records > %(cap)s AS is_crowded
    FROM asked AS a
        LEFT JOIN identity.crowded_key AS c ON c.key = a.key
        CROSS JOIN LATERAL (
            SELECT count(*) AS records
            FROM (
                SELECT FROM identity.record AS r WHERE r.block_keys @> ARRAY[a.key] AND r.kind <> 'touch'
                LIMIT %(cap)s + 1
            ) AS shared
        ) AS n
)
SELECT key, is_crowded AS crowded FROM counted WHERE was_crowded <> is_crowded

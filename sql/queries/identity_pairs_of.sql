-- Every pair of one of some records and another that share a key which is not crowded, once. An id that is crowded still
-- leads to the record that it is the id of. Parameter: the ids of the records.
WITH asked AS MATERIALIZED (
    SELECT r.record_id, r.kind, r.source_table, r.source_key, k.key, c.key IS NOT NULL AS crowded
    FROM identity.record AS r
        CROSS JOIN LATERAL unnest(r.block_keys) AS k (key)
        LEFT JOIN identity.crowded_key AS c ON c.key = k.key
    WHERE r.record_id = ANY (%(ids)s::bigint[]) AND r.kind <> 'touch' AND left(k.key, 2) <> 'o:'
)
SELECT least(a.record_id, o.record_id) AS a_id, greatest(a.record_id, o.record_id) AS b_id
FROM asked AS a
    JOIN identity.record AS o ON o.block_keys @> ARRAY[a.key] AND o.kind = a.kind AND o.record_id <> a.record_id
WHERE NOT a.crowded
UNION
SELECT least(a.record_id, o.record_id), greatest(a.record_id, o.record_id)
FROM asked AS a
    JOIN identity.record AS o ON o.source_table = split_part(substr(a.key, 3), ':', 1)
        AND o.source_key = substr(a.key, 4 + length(split_part(substr(a.key, 3), ':', 1)))
        AND o.block_keys @> ARRAY[a.key] AND o.kind = a.kind AND o.record_id <> a.record_id
WHERE a.crowded AND left(a.key, 2) = 'i:'
UNION
SELECT least(a.record_id, o.record_id), greatest(a.record_id, o.record_id)
FROM asked AS a
    JOIN identity.record AS o ON o.block_keys @> ARRAY[a.key] AND o.kind = a.kind AND o.record_id <> a.record_id
WHERE a.crowded AND a.key = 'i:' || a.source_table || ':' || a.source_key

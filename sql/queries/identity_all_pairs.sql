-- Every pair of records that share a key which is not crowded, once, a text of each. Reads pg_temp.shared_key; records that
-- share several keys stand in equal lists.
SELECT pair.a_id || ' ' || pair.b_id
FROM (
    SELECT a.record_id AS a_id, b.record_id AS b_id
    FROM (SELECT DISTINCT ids FROM pg_temp.shared_key) AS list
        CROSS JOIN LATERAL unnest(list.ids) AS a (record_id)
        CROSS JOIN LATERAL unnest(list.ids) AS b (record_id)
    WHERE a.record_id < b.record_id
    UNION
    SELECT least(r.record_id, o.record_id), greatest(r.record_id, o.record_id)
    FROM identity.crowded_key AS c
        JOIN identity.record AS o ON o.source_table = split_part(substr(c.key, 3), ':', 1)
            AND o.source_key = substr(c.key, 4 + length(split_part(substr(c.key, 3), ':', 1)))
        JOIN identity.record AS r ON r.block_keys @> ARRAY[c.key] AND r.kind = o.kind AND r.record_id <> o.record_id
    WHERE left(c.key, 2) = 'i:' AND r.kind <> 'touch' AND o.block_keys @> ARRAY[c.key]
) AS pair

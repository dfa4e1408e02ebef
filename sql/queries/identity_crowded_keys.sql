-- Note the keys that more records share than `cap`, and the addresses that staff have. Reads pg_temp.shared_key, whose lists are of one kind of record: the
-- records of a list that is longer than a half are counted with those of the other kind.
INSERT INTO identity.crowded_key (key)
SELECT often.key
FROM (
    SELECT DISTINCT k.key
    FROM pg_temp.shared_key AS s
        JOIN identity.record AS o ON o.record_id = s.ids[1]
        CROSS JOIN LATERAL unnest(o.block_keys) AS k (key)
    WHERE cardinality(s.ids) > %(cap)s / 2
        AND hashtextextended(k.key, CASE o.kind WHEN 'staff' THEN 1 ELSE 0 END) = s.key
) AS often
    CROSS JOIN LATERAL (
        SELECT count(*) AS records FROM identity.record AS r
        WHERE r.block_keys @> ARRAY[often.key] AND r.kind <> 'touch'
    ) AS n
WHERE n.records > %(cap)s
UNION
SELECT substr(k.key, 7)
FROM identity.record AS r CROSS JOIN LATERAL unnest(r.block_keys) AS k (key)
WHERE r.kind = 'staff' AND left(k.key, 8) = 'staff:e:'

-- The records that share a key, by its hash: customers and staff apart, no touches. Marks of what was left out are no keys.
SELECT key, array_agg(record_id ORDER BY record_id) AS ids
FROM (
    SELECT hashtextextended(k.key, CASE r.kind WHEN 'staff' THEN 1 ELSE 0 END) AS key, r.record_id
    FROM identity.record AS r CROSS JOIN LATERAL unnest(r.block_keys) AS k (key)
    WHERE r.kind <> 'touch' AND left(k.key, 2) <> 'o:'
) AS keyed
GROUP BY key
HAVING count(*) > 1

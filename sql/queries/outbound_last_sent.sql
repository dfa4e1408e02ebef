-- What was last written into each field of records, and what the vendor made of it.
SELECT DISTINCT ON (r.object_id, f.key) r.object_id, f.key AS field, f.value ->> 'sent' AS sent, f.value ->> 'stored' AS stored
FROM reverse_etl.receipt AS r, jsonb_each(r.fields) AS f
WHERE r.target = %(target)s AND r.object_id = ANY(%(ids)s) AND r.action <> 'archive' AND f.value ? 'stored'
ORDER BY r.object_id, f.key, r.sent_at DESC

-- Which of the records ids the vendor refused, or put off, when a plan of target last sent them.
SELECT named.object_id
FROM unnest(%(ids)s::text[]) AS named (object_id)
CROSS JOIN LATERAL (
    SELECT r.status FROM reverse_etl.receipt AS r
    WHERE r.target = %(target)s AND r.object_id = named.object_id
    ORDER BY r.sent_at DESC LIMIT 1
) AS last
WHERE last.status = 'refused'

-- What the records of a person of person_asked say together.
SELECT a.person_id, CASE WHEN bool_or(r.kind = 'staff') THEN 'staff' ELSE 'customer' END, bool_or(NOT r.deleted),
    count(r.record_id), coalesce(array_agg(DISTINCT r.source_table) FILTER (WHERE r.record_id IS NOT NULL), '{}'),
    min(least(r.created_at, r.updated_at)), max(greatest(r.created_at, r.updated_at))
FROM person_asked AS a
    LEFT JOIN identity.member AS m ON m.person_id = a.person_id
    LEFT JOIN identity.record AS r ON r.record_id = m.record_id
GROUP BY a.person_id

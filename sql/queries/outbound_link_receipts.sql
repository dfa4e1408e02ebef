-- What was written into the fields `links` of the records `ids` of target, in order: what the vendor had before, and after
-- it, also where it wrote a part.
SELECT r.object_id, f.name AS field, r.fields -> f.name ->> 'before' AS before,
    coalesce(r.fields -> f.name ->> 'stored', r.fields -> f.name ->> 'half') AS after
FROM reverse_etl.receipt AS r, unnest(%(links)s::text[]) AS f (name)
WHERE r.target = %(target)s AND r.object_id = ANY(%(ids)s) AND r.action <> 'archive'
    AND r.fields -> f.name ?| ARRAY['stored', 'half']
ORDER BY r.sent_at, r.operation_id

-- Delete the touches whose record, of `records` or of `all`, is a person's now.
DELETE FROM identity.touch AS t
USING identity.record AS r
WHERE r.record_id = t.record_id AND r.kind <> 'touch' AND (%(all)s OR r.record_id = ANY (%(records)s::bigint[]))

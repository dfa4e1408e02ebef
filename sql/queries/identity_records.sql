-- The records that are compared, a text of each for `candidates`. Parameter: their ids, null for all.
SELECT concat_ws(chr(31), record_id, source_table, source_key, kind, coalesce(first_name, ''), coalesce(middle_name, ''),
    coalesce(last_name, ''), coalesce(suffix, ''), coalesce(business, ''), array_to_string(emails, chr(30)),
    array_to_string(phones, chr(30)), coalesce(street, ''), coalesce(unit, ''), coalesce(city, ''), coalesce(zip, ''),
    array_to_string(ids, chr(30)))
FROM identity.record
WHERE kind <> 'touch' AND (%(ids)s::bigint[] IS NULL OR record_id = ANY (%(ids)s::bigint[]))

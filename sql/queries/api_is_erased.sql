-- Whether one of these hashes is that of an address or a number of an erased person.
SELECT EXISTS (
    SELECT FROM identity.tombstone WHERE kind <> 'record' AND digest = ANY(%(digests)s::bytea[])
) AS is_erased

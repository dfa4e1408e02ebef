-- Removes the records of a table whose row says, since %(since)s, that it is none any more; returns each with its keys and
-- the person it was of. The names in braces are composed.
WITH missing AS (
    SELECT r.record_id, r.block_keys, m.person_id
    FROM identity.record AS r
        JOIN {table} AS t ON {key} = r.source_key
        LEFT JOIN identity.member AS m ON m.record_id = r.record_id
    WHERE r.source_table = %(table)s AND {excluded} AND t.sync_updated_at >= %(since)s
), removed AS (
    DELETE FROM identity.record AS r USING missing WHERE r.record_id = missing.record_id
)
SELECT record_id, block_keys, person_id FROM missing

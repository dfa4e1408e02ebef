-- Removes the records of the tables in %(tables)s that have no incoming record, and those of tables that are not among
-- %(known)s, where that is given; returns each with its keys and the person it was of.
--
-- Two selections and no OR, below which NOT EXISTS is asked of each record in turn.
WITH missing AS (
    SELECT r.record_id, r.block_keys, m.person_id
    FROM identity.record AS r
        LEFT JOIN identity.member AS m ON m.record_id = r.record_id
    WHERE r.source_table = ANY(%(tables)s) AND NOT EXISTS (
        SELECT FROM incoming_record AS i WHERE i.source_table = r.source_table AND i.source_key = r.source_key)
    UNION
    SELECT r.record_id, r.block_keys, m.person_id
    FROM identity.record AS r
        LEFT JOIN identity.member AS m ON m.record_id = r.record_id
    WHERE r.source_table <> ALL(%(known)s::text[])
), removed AS (
    DELETE FROM identity.record AS r USING missing WHERE r.record_id = missing.record_id
)
SELECT record_id, block_keys, person_id FROM missing

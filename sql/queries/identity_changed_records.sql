-- What of the incoming records is new or differs from identity.record; no parameters.
-- is_compared: what is compared differs, or the record is new; else only its times, or how its name is shown.
SELECT
    i.*,
    r.record_id,
    r.block_keys AS keys_before,
    r.fingerprint IS DISTINCT FROM i.fingerprint AS is_compared
FROM incoming_record AS i
    LEFT JOIN identity.record AS r ON r.source_table = i.source_table AND r.source_key = i.source_key
WHERE r.fingerprint IS DISTINCT FROM i.fingerprint
    OR r.created_at IS DISTINCT FROM i.created_at
    OR r.updated_at IS DISTINCT FROM i.updated_at
    OR r.display_name IS DISTINCT FROM i.display_name

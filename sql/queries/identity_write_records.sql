-- Writes what identity_changed_records found; no parameters. In order, so that the calls of a number are on few pages: a
-- delta asks for all of them.
WITH changed AS (
    SELECT
        source_table, source_key, kind, display_name, first_name, middle_name, last_name, suffix, business, emails,
        phones, street, unit, city, state, zip, ids, block_keys, created_at, updated_at, deleted, fingerprint
    FROM changed_record
)
INSERT INTO identity.record AS r (
    source_table, source_key, kind, display_name, first_name, middle_name, last_name, suffix, business, emails, phones,
    street, unit, city, state, zip, ids, block_keys, created_at, updated_at, deleted, fingerprint
)
SELECT * FROM changed ORDER BY phones, emails
ON CONFLICT (source_table, source_key) DO UPDATE SET
    kind = excluded.kind,
    display_name = excluded.display_name,
    first_name = excluded.first_name,
    middle_name = excluded.middle_name,
    last_name = excluded.last_name,
    suffix = excluded.suffix,
    business = excluded.business,
    emails = excluded.emails,
    phones = excluded.phones,
    street = excluded.street,
    unit = excluded.unit,
    city = excluded.city,
    state = excluded.state,
    zip = excluded.zip,
    ids = excluded.ids,
    block_keys = excluded.block_keys,
    created_at = excluded.created_at,
    updated_at = excluded.updated_at,
    deleted = excluded.deleted,
    fingerprint = excluded.fingerprint,
    -- marts.duplicates goes by which record was made first.
    changed_at = CASE
        WHEN r.fingerprint = excluded.fingerprint AND r.created_at IS NOT DISTINCT FROM excluded.created_at
        THEN r.changed_at ELSE now() END

-- Write the rows of person_best.
UPDATE identity.person AS p
SET property_id = b.property_id, kind = b.kind, display_name = b.display_name, first_name = b.first_name,
    last_name = b.last_name, business = b.business, email = b.email, phone = b.phone, emails = b.emails,
    phones = b.phones, street = b.street, unit = b.unit, city = b.city, state = b.state, zip = b.zip,
    origins = b.origins, record_count = b.record_count, source_tables = b.source_tables,
    first_seen_at = b.first_seen_at, last_seen_at = b.last_seen_at, updated_at = now()
FROM person_best AS b
WHERE p.person_id = b.person_id

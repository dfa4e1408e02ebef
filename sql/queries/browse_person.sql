-- A person with the place and the household, as the visitor sees them.
--
-- person
SELECT p.person_id, p.household_id, p.kind, p.display_name, p.business, p.email, p.phone, p.emails, p.phones, p.street,
    p.unit, p.city, p.state, p.zip, p.record_count, p.first_seen_at, p.last_seen_at, h.last_name AS household_name,
    h.person_count
FROM identity.person AS p
    LEFT JOIN identity.household AS h ON h.household_id = p.household_id
WHERE p.person_id = %(person)s

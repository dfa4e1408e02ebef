-- Persons by their ids, as the visitor sees them.
--
-- persons
SELECT p.person_id, p.kind, p.display_name, p.email, p.phone, p.city, p.state, p.record_count, p.last_seen_at
FROM identity.person AS p WHERE p.person_id = ANY (%(persons)s::uuid[])

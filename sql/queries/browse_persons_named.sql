-- Persons by an address or a number that one of their records has.
--
-- email, phone (in E.164); one of them is null
SELECT p.person_id, p.kind, p.display_name, p.email, p.phone, p.city, p.state, p.record_count, p.last_seen_at
FROM identity.person AS p
WHERE p.emails @> ARRAY[%(email)s::text] OR p.phones @> ARRAY[%(phone)s::text]
ORDER BY p.last_seen_at DESC NULLS LAST, p.person_id LIMIT 51

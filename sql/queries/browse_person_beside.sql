-- Who lives with a person.
--
-- person, household
SELECT p.person_id, p.display_name, p.email, p.phone FROM identity.person AS p
WHERE p.household_id = %(household)s AND p.person_id <> %(person)s ORDER BY p.person_id LIMIT 20

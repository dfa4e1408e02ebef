-- What the persons of records in `edited` have, but those who have one of `others`.
SELECT p.person_id, p.kind, p.household_id, p.phones, p.emails
FROM identity.person AS p
WHERE p.person_id IN (SELECT m.person_id FROM identity.member AS m WHERE m.record_id = ANY (%(edited)s::bigint[]))
    AND p.person_id NOT IN (SELECT m.person_id FROM identity.member AS m WHERE m.record_id = ANY (%(others)s::bigint[]))

-- The records that have one of the phones and e-mail addresses of the touches of touch_asked.
--
-- OFFSET 0: the planner expects one in two hundred rows to contain a value, and would read whole tables.
WITH wanted AS (
    SELECT DISTINCT 'phone_e164' AS rule, unnest(r.phones) AS value
    FROM touch_asked AS a JOIN identity.record AS r ON r.record_id = a.record_id
), wanted_email AS (
    SELECT DISTINCT 'email' AS rule, unnest(r.emails) AS value
    FROM touch_asked AS a JOIN identity.record AS r ON r.record_id = a.record_id
)
SELECT w.rule, w.value, r.record_id, r.created_at, r.updated_at
FROM wanted AS w
    CROSS JOIN LATERAL (
        SELECT r.record_id, r.created_at, r.updated_at FROM identity.record AS r
        WHERE r.phones @> ARRAY[w.value] AND r.kind <> 'touch' OFFSET 0
    ) AS r
UNION ALL
SELECT w.rule, w.value, r.record_id, r.created_at, r.updated_at
FROM wanted_email AS w
    CROSS JOIN LATERAL (
        SELECT p.person_id FROM identity.person AS p WHERE p.emails @> ARRAY[w.value] OFFSET 0
    ) AS p
    CROSS JOIN LATERAL (
        SELECT r.record_id, r.created_at, r.updated_at
        FROM identity.member AS m JOIN identity.record AS r ON r.record_id = m.record_id
        WHERE m.person_id = p.person_id AND w.value = ANY (r.emails) OFFSET 0
    ) AS r

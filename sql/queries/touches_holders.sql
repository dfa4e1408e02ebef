-- Who has had the phones and e-mail addresses of the touches of touch_asked, and since when until when records say so.
--
-- `unit` is the household, or the person alone. Where a customer has the number, staff are left out.
-- OFFSET 0: the planner expects one in two hundred rows to contain a value, and would read whole tables.
WITH wanted AS (
    SELECT DISTINCT 'phone_e164' AS rule, unnest(r.phones) AS value
    FROM touch_asked AS a JOIN identity.record AS r ON r.record_id = a.record_id
), wanted_email AS (
    SELECT DISTINCT 'email' AS rule, unnest(r.emails) AS value
    FROM touch_asked AS a JOIN identity.record AS r ON r.record_id = a.record_id
), holding AS (
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
), holder AS (
    SELECT h.rule, h.value, p.person_id, p.household_id, p.kind,
        min(least(h.created_at, h.updated_at)) AS since, max(greatest(h.created_at, h.updated_at)) AS until
    FROM holding AS h
        CROSS JOIN LATERAL (
            SELECT p.person_id, p.household_id, p.kind
            FROM identity.member AS m JOIN identity.person AS p ON p.person_id = m.person_id
            WHERE m.record_id = h.record_id OFFSET 0
        ) AS p
    GROUP BY h.rule, h.value, p.person_id, p.household_id, p.kind
), counted AS (
    SELECT h.*, count(*) FILTER (WHERE h.kind = 'customer') OVER same AS customers, count(*) OVER same AS persons
    FROM holder AS h
    WINDOW same AS (PARTITION BY h.rule, h.value)
)
SELECT rule, value, person_id, household_id, coalesce(household_id, person_id), since, until, persons > %(most)s
FROM counted
WHERE kind = 'customer' OR customers = 0

-- Who has had the phones and e-mail addresses of touch_holding, and since when until when records say so.
--
-- `unit` is the household, or the person alone. Where a customer has the number, staff are left out.
WITH holder AS (
    SELECT h.rule, h.value, p.person_id, p.household_id, p.kind,
        min(least(h.created_at, h.updated_at)) AS since, max(greatest(h.created_at, h.updated_at)) AS until
    FROM touch_holding AS h
        JOIN identity.member AS m ON m.record_id = h.record_id
        JOIN identity.person AS p ON p.person_id = m.person_id
    GROUP BY h.rule, h.value, p.person_id, p.household_id, p.kind
), counted AS (
    SELECT h.*, count(*) FILTER (WHERE h.kind = 'customer') OVER same AS customers, count(*) OVER same AS persons
    FROM holder AS h
    WINDOW same AS (PARTITION BY h.rule, h.value)
)
SELECT rule, value, person_id, household_id, coalesce(household_id, person_id), since, until, persons > %(most)s
FROM counted
WHERE kind = 'customer' OR customers = 0

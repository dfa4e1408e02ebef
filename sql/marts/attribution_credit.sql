-- To which sources a conversion is credited, by three models side by side: all to the first touch, all to the last, or the
-- same to each. A touch is what has a source and came from them; what the same source says within seven days of another is
-- the same touch, told by another CRM. Touches up to the day of the conversion count; without any it is unattributed.
-- Shares are rounded as they grow, so those of one conversion add up to 1 and to its amount exactly. Of a sale that two of a
-- household are named for the touches of both count.
WITH buyer AS (
    -- Whose touches count: a person's own, or those of a sale.
    SELECT m.person_id::text AS whose, m.person_id FROM mart_person AS m
    UNION ALL
    SELECT s.source_table || ' ' || s.source_key, q.person_id
    FROM marts.sale AS s JOIN mart_person AS m ON m.person_id = s.person_id, unnest(s.person_ids) AS q (person_id)
    WHERE s.is_standing AND cardinality(s.person_ids) > 1
), told AS (
    SELECT b.whose, t.occurred_at, t.occurred_day, t.lead_source, t.source_table, t.source_key,
        CASE WHEN t.occurred_at - lag(t.occurred_at) OVER (PARTITION BY b.whose, t.lead_source ORDER BY t.occurred_at,
            t.source_table, t.source_key) <= interval '7 days' THEN 0 ELSE 1 END AS begins
    FROM marts.activity_timeline AS t JOIN buyer AS b USING (person_id)
    WHERE t.lead_source IS NOT NULL
        AND (t.kind IN ('form', 'lead', 'door_knock')
             OR t.kind IN ('call', 'text') AND t.direction IS DISTINCT FROM 'outbound')
), touch AS (
    SELECT t.whose, t.lead_source, t.occurred_at, t.occurred_day, t.source_table, t.source_key
    FROM told AS t WHERE t.begins = 1
), conversion AS (
    SELECT 'lead' AS conversion, j.person_id::text AS conversion_key, j.person_id, j.person_id::text AS whose,
        j.lead_at AS converted_at, 0::numeric AS amount
    FROM marts.lead_journey AS j JOIN mart_person USING (person_id)
    UNION ALL
    SELECT 'appointment', j.person_id::text, j.person_id, j.person_id::text, j.appointment_at, 0
    FROM marts.lead_journey AS j JOIN mart_person USING (person_id) WHERE j.appointment_at IS NOT NULL
    UNION ALL
    SELECT 'sale', s.source_table || ' ' || s.source_key, s.person_id,
        CASE WHEN cardinality(s.person_ids) > 1 THEN s.source_table || ' ' || s.source_key ELSE s.person_id::text END,
        s.sold_at, coalesce(s.amount, 0)
    FROM marts.sale AS s JOIN mart_person USING (person_id) WHERE s.is_standing
    UNION ALL
    SELECT 'sale', s.source_table || ' ' || s.source_key, s.person_id, NULL, s.sold_at, coalesce(s.amount, 0)
    FROM marts.sale AS s WHERE s.is_standing AND s.person_id IS NULL
), counted AS (
    SELECT c.*, coalesce(t.lead_source, 'unattributed') AS source,
        row_number() OVER place AS place, count(*) OVER (PARTITION BY c.conversion, c.conversion_key) AS touches
    FROM conversion AS c
        LEFT JOIN touch AS t ON t.whose = c.whose
            AND t.occurred_day <= (c.converted_at AT TIME ZONE {zone})::date
    WINDOW place AS (PARTITION BY c.conversion, c.conversion_key
                     ORDER BY t.occurred_at, t.source_table, t.source_key, t.lead_source)
)
SELECT c.conversion, c.conversion_key, c.source, c.person_id, c.converted_at,
    (c.converted_at AT TIME ZONE {zone})::date AS converted_day,
    sum(CASE WHEN c.place = 1 THEN 1 ELSE 0 END)::numeric(9, 6) AS first_credit,
    sum(CASE WHEN c.place = c.touches THEN 1 ELSE 0 END)::numeric(9, 6) AS last_credit,
    sum(round(c.place / c.touches::numeric, 6) - round((c.place - 1) / c.touches::numeric, 6))::numeric(9, 6) AS linear_credit,
    sum(CASE WHEN c.place = 1 THEN c.amount ELSE 0 END)::numeric(14, 2) AS first_amount,
    sum(CASE WHEN c.place = c.touches THEN c.amount ELSE 0 END)::numeric(14, 2) AS last_amount,
    sum(round(c.amount * c.place / c.touches, 2) - round(c.amount * (c.place - 1) / c.touches, 2))::numeric(14, 2)
        AS linear_amount
FROM counted AS c
GROUP BY c.conversion, c.conversion_key, c.source, c.person_id, c.converted_at

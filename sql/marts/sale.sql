-- One row per sale in the real world, whichever CRMs know of it: Genius' and MarketSharp's jobs, HubSpot's won deals,
-- SalesPro's sold estimates. Two records of one CRM are two sales; of two of its accounts, unless both name the same visit.
-- Records of different CRMs are one sale when both name the same visit; a record that names no visit goes to a sale of the
-- same person, within 45 days of the next, that its CRM has not told of, in the order of time, what was called off last.
-- What is left over of several CRMs is paired in the same way. What names nobody known is of the person whose visit it
-- names. {sale_records} is sale_records.sql.
--
-- After that two sales of two people of one household are one, if no CRM tells of both, and
--   both name the same visit, however far apart they are; or
--   they are within 45 days of each other, their amounts differ by at most a tenth of the larger or one has none, and they
--   do not name two visits of Genius.
-- Of several such pairs the same visit goes first, then what was not called off, then the nearest amount, then the nearest
-- time; no sale is in two.
WITH RECURSIVE guest AS (
    -- Of whose visit a job or deal is that names nobody known: its contact is deleted, say.
    SELECT t.source_table, t.source_key, v.person_id, v.household_id
    FROM marts.activity_timeline AS t,
        LATERAL (
            SELECT v.person_id, v.household_id
            FROM unnest(t.links) AS l (name)
                JOIN marts.activity_timeline AS v ON v.source_table = split_part(l.name, ' ', 1)
                    AND v.source_key = substr(l.name, strpos(l.name, ' ') + 1) AND v.kind = 'appointment'
            WHERE v.person_id IS NOT NULL
            ORDER BY v.source_table, v.source_key LIMIT 1
        ) AS v
    WHERE t.person_id IS NULL AND t.kind IN ('job', 'sale')
), told AS (
    SELECT t.source_table, t.source_key, t.kind, t.person_id, t.household_id, t.crm_source, t.occurred_at, t.occurred_day,
        t.amount, t.our_user_id, t.our_user, t.division, t.links, t.source_table || ' ' || t.source_key AS record,
        t.person_id::text AS whose
    FROM marts.activity_timeline AS t JOIN mart_person USING (person_id)
    WHERE t.kind IN ('job', 'sale', 'appointment', 'installation', 'payment', 'cancellation')
    UNION ALL
    SELECT t.source_table, t.source_key, t.kind, g.person_id, g.household_id, t.crm_source, t.occurred_at, t.occurred_day,
        t.amount, t.our_user_id, t.our_user, t.division, t.links, t.source_table || ' ' || t.source_key,
        coalesce(g.person_id::text, t.source_table || ' ' || t.source_key)
    FROM marts.activity_timeline AS t LEFT JOIN guest AS g USING (source_table, source_key)
    WHERE t.person_id IS NULL AND t.kind IN ('job', 'sale', 'installation', 'payment', 'cancellation')
        AND (g.person_id IS NULL OR g.person_id IN (SELECT m.person_id FROM mart_person AS m))
), {sale_records}, one AS (
    SELECT g.whose, g.sale,
        (array_agg(g.source_table ORDER BY g.place, g.source_table, g.source_key))[1] AS source_table,
        (array_agg(g.source_key ORDER BY g.place, g.source_table, g.source_key))[1] AS source_key,
        (array_agg(g.person_id ORDER BY g.place, g.source_table, g.source_key))[1] AS person_id,
        (array_agg(g.household_id ORDER BY g.place, g.source_table, g.source_key))[1] AS household_id,
        coalesce(array_agg(DISTINCT g.person_id) FILTER (WHERE g.person_id IS NOT NULL), '{}') AS person_ids,
        (array_agg(g.occurred_at ORDER BY g.place, g.source_table, g.source_key))[1] AS sold_at,
        (array_agg(g.occurred_day ORDER BY g.place, g.source_table, g.source_key))[1] AS sold_day,
        (array_agg(g.amount ORDER BY g.amount IS NULL, g.worth, g.source_table, g.source_key))[1] AS amount,
        (array_agg(g.source_table ORDER BY g.amount IS NULL, g.worth, g.source_table, g.source_key))[1] AS amount_from,
        (array_agg(g.our_user_id ORDER BY g.our_user IS NULL, g.place, g.source_table, g.source_key))[1] AS rep_id,
        (array_agg(g.our_user ORDER BY g.our_user IS NULL, g.place, g.source_table, g.source_key))[1] AS rep,
        (array_agg(g.division ORDER BY g.division IS NULL, g.place, g.source_table, g.source_key))[1] AS division,
        array_agg(g.record ORDER BY g.place, g.source_table, g.source_key) AS records,
        count(*) AS tellers, bool_and(g.visit IS NOT NULL) AS is_declared,
        CASE WHEN count(g.amount) > 1 THEN max(g.amount) - min(g.amount) END AS apart
    FROM united AS g GROUP BY g.whose, g.sale
), later AS (
    SELECT o.whose, o.sale, min(t.occurred_at) FILTER (WHERE t.kind = 'installation') AS installed_at,
        min(t.occurred_at) FILTER (WHERE t.kind = 'payment') AS paid_at,
        sum(t.amount) FILTER (WHERE t.kind = 'payment') AS paid_amount,
        min(t.occurred_at) FILTER (WHERE t.kind = 'cancellation') AS cancelled_at
    FROM (SELECT whose, sale, unnest(records) AS record FROM one) AS o JOIN told AS t USING (record)
    WHERE t.kind IN ('installation', 'payment', 'cancellation')
    GROUP BY o.whose, o.sale
)
SELECT o.source_table, o.source_key, o.person_id, o.household_id, o.person_ids, o.sold_at, o.sold_day, o.amount,
    CASE WHEN o.amount IS NOT NULL THEN o.amount_from END AS amount_from, o.rep_id, o.rep, o.division,
    l.installed_at, l.paid_at, l.paid_amount::numeric(14, 2) AS paid_amount, l.cancelled_at,
    l.cancelled_at IS NULL AS is_standing, o.records,
    CASE WHEN o.tellers = 1 THEN 'one record'
         WHEN s.is_declared THEN 'same household, same visit'
         WHEN s.whose IS NOT NULL THEN 'same household, near in time' || CASE WHEN o.apart = 0 THEN ', same amount' ELSE '' END
         WHEN o.is_declared THEN 'same visit'
         WHEN o.apart = 0 THEN 'same person, near in time, same amount' ELSE 'same person, near in time' END AS matched_by
FROM one AS o
    LEFT JOIN later AS l ON l.whose = o.whose AND l.sale = o.sale
    LEFT JOIN shared AS s ON s.whose = o.whose AND s.sale = o.sale

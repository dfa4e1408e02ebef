-- One row per sale in the real world, whichever CRMs know of it: Genius' and MarketSharp's jobs, HubSpot's won deals,
-- SalesPro's sold estimates. Two records of one CRM are two sales. Records of different CRMs are one sale when both name
-- the same visit; a record that names no visit goes to a sale of the same person, within 45 days of the next, that its CRM
-- has not told of, in the order of time. What is left over of several CRMs is paired in the same way.
WITH told AS (
    SELECT t.*, t.source_table || ' ' || t.source_key AS record
    FROM marts.activity_timeline AS t JOIN mart_person USING (person_id)
    WHERE t.kind IN ('job', 'sale', 'appointment', 'installation', 'payment', 'cancellation')
    UNION ALL
    SELECT t.*, t.source_table || ' ' || t.source_key
    FROM marts.activity_timeline AS t
    WHERE t.person_id IS NULL AND t.kind IN ('job', 'sale', 'installation', 'payment', 'cancellation')
), visit AS (
    -- A visit by each of its names: its own, and those of the rows that it belongs to.
    SELECT v.person_id, n.name, min(CASE WHEN c.name LIKE 'genius%' THEN c.name END) AS in_genius, min(c.name) AS any_name
    FROM told AS v,
        LATERAL unnest(v.record || v.links) AS n (name),
        LATERAL unnest(v.record || v.links) AS c (name)
    WHERE v.kind = 'appointment'
    GROUP BY v.person_id, n.name
), named_by AS (
    -- The visit that each record names; an estimate is of the visit that names it.
    SELECT n.record, coalesce(min(v.in_genius), min(v.any_name), min(n.name) FILTER (WHERE NOT n.is_own)) AS visit
    FROM (
        SELECT t.record, t.person_id, l.name, false AS is_own
        FROM told AS t, LATERAL unnest(t.links) AS l (name) WHERE t.kind IN ('job', 'sale')
        UNION ALL
        SELECT t.record, t.person_id, t.record, true
        FROM told AS t WHERE t.kind = 'sale' AND t.source_table = 'salespro_estimate'
    ) AS n LEFT JOIN visit AS v ON v.person_id = n.person_id AND v.name = n.name
    GROUP BY n.record
), record AS (
    SELECT t.source_table, t.source_key, t.record, t.person_id, t.household_id, t.crm_source, t.occurred_at, t.occurred_day,
        t.amount, t.our_user_id, t.our_user, t.division, coalesce(t.person_id::text, t.record) AS whose,
        array_position(ARRAY['genius_job', 'marketsharp_job', 'hubspot_deal', 'salespro_estimate'],
                       substring(t.source_table FROM '[^.]+$')) AS place,
        -- Whose amount counts: a contract before a deal, a deal before an estimate.
        array_position(ARRAY['genius_job', 'hubspot_deal', 'salespro_estimate', 'marketsharp_job'],
                       substring(t.source_table FROM '[^.]+$')) AS worth,
        -- A visit that no other CRM names says nothing of what is the same.
        CASE WHEN min(t.crm_source) OVER same <> max(t.crm_source) OVER same THEN n.visit END AS visit
    FROM told AS t LEFT JOIN named_by AS n USING (record)
    WHERE t.kind IN ('job', 'sale')
    WINDOW same AS (PARTITION BY coalesce(t.person_id::text, t.record), n.visit)
), dated AS (
    SELECT r.*, CASE WHEN r.occurred_at - lag(r.occurred_at) OVER near <= interval '45 days' THEN 0 ELSE 1 END AS begins
    FROM record AS r
    WINDOW near AS (PARTITION BY r.whose ORDER BY r.occurred_at, r.source_table, r.source_key)
), begun AS (
    SELECT d.*, sum(d.begins) OVER (PARTITION BY d.whose ORDER BY d.occurred_at, d.source_table, d.source_key) AS bout
    FROM dated AS d
), told_apart AS (
    -- Where there is one contract, of several deals that may be its own the one whose amount is nearest comes first.
    SELECT b.*, CASE
        WHEN b.visit IS NOT NULL AND count(b.amount) FILTER (WHERE b.source_table = 'genius_job') OVER same = 1
        THEN abs(b.amount - max(b.amount) FILTER (WHERE b.source_table = 'genius_job') OVER same)
        WHEN b.visit IS NULL AND count(b.amount) FILTER (WHERE b.source_table = 'genius_job') OVER around = 1
        THEN abs(b.amount - max(b.amount) FILTER (WHERE b.source_table = 'genius_job') OVER around) END AS off
    FROM begun AS b
    WINDOW same AS (PARTITION BY b.whose, b.visit), around AS (PARTITION BY b.whose, b.bout)
), near AS (
    SELECT a.*,
        row_number() OVER (PARTITION BY a.whose, a.visit, a.crm_source ORDER BY a.off NULLS LAST, a.occurred_at, a.source_key)
            AS turn
    FROM told_apart AS a
), named AS (
    -- Sales whose visit is known, and in which bout of sales of the person they begin.
    SELECT n.whose, n.visit, n.turn, min(n.bout) AS bout, min(n.occurred_at) AS occurred_at,
        array_agg(DISTINCT n.crm_source) AS crms
    FROM near AS n WHERE n.visit IS NOT NULL GROUP BY n.whose, n.visit, n.turn
), free AS (
    SELECT s.whose, s.visit, s.turn, s.bout, c.crm_source,
        row_number() OVER (PARTITION BY s.whose, s.bout, c.crm_source ORDER BY s.occurred_at, s.visit, s.turn) AS place
    FROM named AS s JOIN (SELECT DISTINCT whose, bout, crm_source FROM near WHERE visit IS NULL) AS c USING (whose, bout)
    WHERE c.crm_source <> ALL (s.crms)
), unnamed AS (
    SELECT n.source_table, n.source_key, n.whose, n.bout, n.crm_source, n.occurred_at,
        row_number() OVER (PARTITION BY n.whose, n.bout, n.crm_source ORDER BY n.off NULLS LAST, n.occurred_at, n.source_key)
            AS place
    FROM near AS n WHERE n.visit IS NULL
), placed AS (
    SELECT u.source_table, u.source_key, f.visit, f.turn, f.visit IS NULL AS is_left,
        -- Those that are left come after those that found a sale.
        row_number() OVER (PARTITION BY u.whose, u.bout, u.crm_source, f.visit IS NULL ORDER BY u.place) AS left_place
    FROM unnamed AS u
        LEFT JOIN free AS f ON f.whose = u.whose AND f.bout = u.bout AND f.crm_source = u.crm_source AND f.place = u.place
), grouped AS (
    SELECT n.*,
        CASE WHEN n.visit IS NOT NULL THEN n.visit || ' ' || n.turn
             WHEN p.is_left THEN 'bout ' || n.bout || ' ' || p.left_place
             ELSE p.visit || ' ' || p.turn END AS sale
    FROM near AS n LEFT JOIN placed AS p USING (source_table, source_key)
), one AS (
    SELECT g.whose, g.sale,
        (array_agg(g.source_table ORDER BY g.place, g.source_key))[1] AS source_table,
        (array_agg(g.source_key ORDER BY g.place, g.source_key))[1] AS source_key,
        (array_agg(g.person_id))[1] AS person_id, (array_agg(g.household_id))[1] AS household_id,
        (array_agg(g.occurred_at ORDER BY g.place, g.source_key))[1] AS sold_at,
        (array_agg(g.occurred_day ORDER BY g.place, g.source_key))[1] AS sold_day,
        (array_agg(g.amount ORDER BY g.amount IS NULL, g.worth, g.source_key))[1] AS amount,
        (array_agg(g.source_table ORDER BY g.amount IS NULL, g.worth, g.source_key))[1] AS amount_from,
        (array_agg(g.our_user_id ORDER BY g.our_user IS NULL, g.place, g.source_key))[1] AS rep_id,
        (array_agg(g.our_user ORDER BY g.our_user IS NULL, g.place, g.source_key))[1] AS rep,
        (array_agg(g.division ORDER BY g.division IS NULL, g.place, g.source_key))[1] AS division,
        array_agg(g.record ORDER BY g.place, g.source_key) AS records,
        count(*) AS tellers, bool_and(g.visit IS NOT NULL) AS is_declared,
        CASE WHEN count(g.amount) > 1 THEN max(g.amount) - min(g.amount) END AS apart
    FROM grouped AS g GROUP BY g.whose, g.sale
), later AS (
    SELECT o.whose, o.sale, min(t.occurred_at) FILTER (WHERE t.kind = 'installation') AS installed_at,
        min(t.occurred_at) FILTER (WHERE t.kind = 'payment') AS paid_at,
        sum(t.amount) FILTER (WHERE t.kind = 'payment') AS paid_amount,
        min(t.occurred_at) FILTER (WHERE t.kind = 'cancellation') AS cancelled_at
    FROM (SELECT whose, sale, unnest(records) AS record FROM one) AS o JOIN told AS t USING (record)
    WHERE t.kind IN ('installation', 'payment', 'cancellation')
    GROUP BY o.whose, o.sale
)
SELECT o.source_table, o.source_key, o.person_id, o.household_id, o.sold_at, o.sold_day, o.amount,
    CASE WHEN o.amount IS NOT NULL THEN o.amount_from END AS amount_from, o.rep_id, o.rep, o.division,
    l.installed_at, l.paid_at, l.paid_amount::numeric(14, 2) AS paid_amount, l.cancelled_at,
    l.cancelled_at IS NULL AS is_standing, o.records,
    CASE WHEN o.tellers = 1 THEN 'one record' WHEN o.is_declared THEN 'same visit'
         WHEN o.apart = 0 THEN 'same person, near in time, same amount' ELSE 'same person, near in time' END AS matched_by
FROM one AS o LEFT JOIN later AS l ON l.whose = o.whose AND l.sale = o.sale

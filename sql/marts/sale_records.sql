-- Which jobs and won deals of a person, or of two people of one household, are one sale: the CTEs of sale.sql, and of
-- feed_called_off.sql. They read `told`: activities by `record` (table and key), each of `whose` sales it is, where
-- `person_id` is null of nobody known. `united` has a row per job or deal, with `whose` and `sale` of the sale that it is of.
-- Two accounts of one CRM tell of one sale only where both name the same visit.
visit AS (
    -- A visit by each of its names: its own, and those of the rows that it belongs to.
    SELECT v.whose, n.name, min(CASE WHEN c.name LIKE 'genius%' THEN c.name END) AS in_genius, min(c.name) AS any_name
    FROM told AS v,
        LATERAL unnest(v.record || v.links) AS n (name),
        LATERAL unnest(v.record || v.links) AS c (name)
    WHERE v.kind = 'appointment'
    GROUP BY v.whose, n.name
), home_visit AS (
    SELECT v.household_id, n.name, min(CASE WHEN c.name LIKE 'genius%' THEN c.name END) AS in_genius, min(c.name) AS any_name
    FROM told AS v,
        LATERAL unnest(v.record || v.links) AS n (name),
        LATERAL unnest(v.record || v.links) AS c (name)
    WHERE v.kind = 'appointment' AND v.household_id IS NOT NULL
    GROUP BY v.household_id, n.name
), named_by AS (
    -- The visit that each record names, of its person and of the household; an estimate is of the visit that names it.
    SELECT n.whose, n.record, coalesce(min(v.in_genius), min(v.any_name), min(n.name) FILTER (WHERE NOT n.is_own)) AS visit,
        coalesce(min(h.in_genius), min(h.any_name), min(n.name) FILTER (WHERE NOT n.is_own)) AS home_visit
    FROM (
        SELECT t.record, t.whose, t.household_id, l.name, false AS is_own
        FROM told AS t, LATERAL unnest(t.links) AS l (name) WHERE t.kind IN ('job', 'sale')
        UNION ALL
        SELECT t.record, t.whose, t.household_id, t.record, true
        FROM told AS t WHERE t.kind = 'sale' AND t.source_table = 'salespro_estimate'
    ) AS n
        LEFT JOIN visit AS v ON v.whose = n.whose AND v.name = n.name
        LEFT JOIN home_visit AS h ON h.household_id = n.household_id AND h.name = n.name
    GROUP BY n.whose, n.record
), record AS (
    SELECT t.source_table, t.source_key, t.record, t.person_id, t.household_id, t.crm_source AS account,
        split_part(substring(t.source_table FROM '[^.]+$'), '_', 1) AS crm, t.occurred_at, t.occurred_day, t.amount,
        t.our_user_id, t.our_user, t.division, t.whose,
        array_position(ARRAY['genius_job', 'marketsharp_job', 'hubspot_deal', 'salespro_estimate'],
                       substring(t.source_table FROM '[^.]+$')) AS place,
        -- Whose amount counts: a contract before a deal, a deal before an estimate.
        array_position(ARRAY['genius_job', 'hubspot_deal', 'salespro_estimate', 'marketsharp_job'],
                       substring(t.source_table FROM '[^.]+$')) AS worth,
        -- A visit that no other CRM or account names says nothing of what is the same.
        CASE WHEN min(t.crm_source) OVER same <> max(t.crm_source) OVER same THEN n.visit END AS visit, n.home_visit,
        o.record IS NOT NULL AS is_off
    FROM told AS t
        LEFT JOIN named_by AS n USING (whose, record)
        LEFT JOIN (SELECT DISTINCT record FROM told WHERE kind = 'cancellation') AS o USING (record)
    WHERE t.kind IN ('job', 'sale')
    WINDOW same AS (PARTITION BY t.whose, n.visit)
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
        row_number() OVER (PARTITION BY a.whose, a.visit, a.account
                           ORDER BY a.is_off, a.off NULLS LAST, a.occurred_at, a.source_key) AS turn
    FROM told_apart AS a
), named AS (
    -- Sales whose visit is known, and in which bout of sales of the person they begin.
    SELECT n.whose, n.visit, n.turn, min(n.bout) AS bout, min(n.occurred_at) AS occurred_at,
        array_agg(DISTINCT n.crm) AS crms, bool_or(n.is_off) AS is_off
    FROM near AS n WHERE n.visit IS NOT NULL GROUP BY n.whose, n.visit, n.turn
), free AS (
    SELECT s.whose, s.visit, s.turn, s.bout, c.crm,
        row_number() OVER (PARTITION BY s.whose, s.bout, c.crm ORDER BY s.is_off, s.occurred_at, s.visit, s.turn)
            AS place
    FROM named AS s JOIN (SELECT DISTINCT whose, bout, crm FROM near WHERE visit IS NULL) AS c USING (whose, bout)
    WHERE c.crm <> ALL (s.crms)
), unnamed AS (
    SELECT n.source_table, n.source_key, n.whose, n.bout, n.crm, n.occurred_at,
        row_number() OVER (PARTITION BY n.whose, n.bout, n.crm
                           ORDER BY n.is_off, n.off NULLS LAST, n.occurred_at, n.source_table, n.source_key) AS place
    FROM near AS n WHERE n.visit IS NULL
), placed AS (
    SELECT u.whose, u.source_table, u.source_key, f.visit, f.turn, f.visit IS NULL AS is_left,
        -- Those that are left come after those that found a sale.
        row_number() OVER (PARTITION BY u.whose, u.bout, u.crm, f.visit IS NULL ORDER BY u.place) AS left_place
    FROM unnamed AS u
        LEFT JOIN free AS f ON f.whose = u.whose AND f.bout = u.bout AND f.crm = u.crm AND f.place = u.place
), grouped AS (
    SELECT n.*,
        CASE WHEN n.visit IS NOT NULL THEN n.visit || ' ' || n.turn
             WHEN p.is_left THEN 'bout ' || n.bout || ' ' || p.left_place
             ELSE p.visit || ' ' || p.turn END AS sale
    FROM near AS n LEFT JOIN placed AS p USING (whose, source_table, source_key)
), part AS (
    -- The sales of each person who has a household; `record` stands for the sale.
    SELECT g.household_id, g.whose, g.sale, min(g.record) AS record, array_agg(DISTINCT g.crm) AS crms,
        array_agg(DISTINCT g.account) AS accounts,
        coalesce(array_agg(DISTINCT g.home_visit) FILTER (WHERE g.home_visit IS NOT NULL), '{}') AS visits,
        coalesce(bool_or(g.home_visit LIKE 'genius%'), false) AS is_in_genius,
        min(g.occurred_at) AS begins_at, max(g.occurred_at) AS ends_at, bool_or(g.is_off) AS is_off,
        (array_agg(g.amount ORDER BY g.amount IS NULL, g.worth, g.source_table, g.source_key))[1] AS amount
    FROM grouped AS g WHERE g.person_id IS NOT NULL AND g.household_id IS NOT NULL
    GROUP BY g.household_id, g.whose, g.sale
), pair AS (
    SELECT a.household_id, a.record, a.whose, a.sale, b.record AS other_record, b.whose AS other, b.sale AS other_sale,
        a.visits && b.visits AS is_declared,
        row_number() OVER (PARTITION BY a.household_id
            ORDER BY a.visits && b.visits DESC, a.is_off OR b.is_off, abs(a.amount - b.amount) NULLS LAST, d.apart,
                a.record, b.record) AS turn
    FROM part AS a
        JOIN part AS b ON b.household_id = a.household_id AND b.whose <> a.whose AND b.record > a.record,
        LATERAL (SELECT greatest(b.begins_at - a.ends_at, a.begins_at - b.ends_at) AS apart) AS d
    WHERE NOT a.accounts && b.accounts
        AND (a.visits && b.visits
             OR NOT a.crms && b.crms AND d.apart <= interval '45 days' AND NOT (a.is_in_genius AND b.is_in_genius)
                AND coalesce(abs(a.amount - b.amount) <= 0.1 * greatest(abs(a.amount), abs(b.amount)), true))
), chosen AS (
    -- One pair of each household after the other, unless one of its sales is in an earlier one.
    SELECT p.household_id, p.turn, ARRAY[p.record, p.other_record] AS taken, true AS is_chosen
    FROM pair AS p WHERE p.turn = 1
    UNION ALL
    SELECT p.household_id, p.turn, c.taken || CASE WHEN n.is_new THEN ARRAY[p.record, p.other_record] END, n.is_new
    FROM chosen AS c JOIN pair AS p ON p.household_id = c.household_id AND p.turn = c.turn + 1,
        LATERAL (SELECT NOT ARRAY[p.record, p.other_record] && c.taken AS is_new) AS n
), shared AS (
    SELECT p.* FROM chosen AS c JOIN pair AS p ON p.household_id = c.household_id AND p.turn = c.turn WHERE c.is_chosen
), united AS (
    SELECT coalesce(s.whose, g.whose) AS whose, coalesce(s.sale, g.sale) AS sale, g.source_table, g.source_key, g.record,
        g.person_id, g.household_id, g.occurred_at, g.occurred_day, g.amount, g.our_user_id, g.our_user, g.division,
        g.place, g.worth, g.visit, g.is_off
    FROM grouped AS g LEFT JOIN shared AS s ON s.other = g.whose AND s.other_sale = g.sale
)

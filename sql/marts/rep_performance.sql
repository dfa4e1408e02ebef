-- What each of us has done. An appointment that several CRMs tell of is one: those of a person at most a day and a half
-- apart. Of several users Genius' counts, then MarketSharp's, then HubSpot's. It was held when one of them says so.
WITH told AS (
    SELECT a.kind, coalesce(a.person_id::text, a.source_table || ' ' || a.source_key) AS whose, a.occurred_at, a.is_held,
        coalesce(a.our_user_id::text, a.user_table || ' ' || a.user_key) AS rep_id,
        array_position('{genius,marketsharp,hubspot}'::text[], split_part(a.crm_source, '_', 1)) AS rank
    FROM marts.activity_timeline AS a
    WHERE a.kind IN ('appointment_set', 'appointment')
), begun AS (
    SELECT t.*, coalesce(t.occurred_at - lag(t.occurred_at) OVER w > interval '36 hours', true) AS is_new
    FROM told AS t
    WINDOW w AS (PARTITION BY t.kind, t.whose ORDER BY t.occurred_at)
), numbered AS (
    SELECT b.*, count(*) FILTER (WHERE b.is_new) OVER (PARTITION BY b.kind, b.whose ORDER BY b.occurred_at) AS place
    FROM begun AS b
), appointments AS (
    SELECT n.kind, (array_agg(n.rep_id ORDER BY n.rank, n.rep_id) FILTER (WHERE n.rep_id IS NOT NULL))[1] AS rep_id,
        bool_or(n.is_held) AS held
    FROM numbered AS n
    GROUP BY n.kind, n.whose, n.place
), done AS (
    SELECT a.rep_id, count(*) FILTER (WHERE a.kind = 'appointment_set') AS appointments_set,
        count(*) FILTER (WHERE a.kind = 'appointment' AND a.held) AS appointments_held, 0 AS estimates, 0 AS leads,
        0 AS leads_assigned, 0 AS sold, 0::numeric AS revenue, 0 AS cancelled, 0::numeric AS cancelled_amount
    FROM appointments AS a GROUP BY a.rep_id
    UNION ALL
    SELECT coalesce(a.our_user_id::text, a.user_table || ' ' || a.user_key), 0, 0, count(*), 0, 0, 0, 0, 0, 0
    FROM marts.activity_timeline AS a WHERE a.kind = 'estimate' GROUP BY 1
    UNION ALL
    -- Who had a lead once is a user with assignments too. An id that was merged stands for who has its records now.
    SELECT o.user_id::text, 0, 0, 0, count(*) FILTER (WHERE o.is_now), count(*), 0, 0, 0, 0
    FROM (SELECT u.user_id, g.organization_id, g.lead_id, bool_or(g.is_now) AS is_now
          FROM (SELECT l.owner_id AS known_id, l.organization_id, l.id AS lead_id, l.deleted_at IS NULL AS is_now
                FROM crm.leads AS l WHERE l.owner_id IS NOT NULL
                UNION
                SELECT a.to_user_id, a.organization_id, a.lead_id, false
                FROM crm.lead_assignments AS a WHERE a.to_user_id IS NOT NULL) AS g
              JOIN (SELECT k.known_id, coalesce(identity.current_person(k.known_id), k.known_id) AS user_id
                    FROM (SELECT l.owner_id AS known_id FROM crm.leads AS l
                          UNION SELECT a.to_user_id FROM crm.lead_assignments AS a) AS k) AS u ON u.known_id = g.known_id
          GROUP BY u.user_id, g.organization_id, g.lead_id) AS o
    GROUP BY o.user_id
    UNION ALL
    SELECT s.rep_id::text, 0, 0, 0, 0, 0, count(*) FILTER (WHERE s.is_standing),
        coalesce(sum(s.amount) FILTER (WHERE s.is_standing), 0), count(*) FILTER (WHERE NOT s.is_standing),
        coalesce(sum(s.amount) FILTER (WHERE NOT s.is_standing), 0)
    FROM marts.sale AS s GROUP BY 1
), summed AS (
    SELECT d.rep_id, sum(d.leads)::integer AS leads, sum(d.leads_assigned)::integer AS leads_assigned,
        sum(d.appointments_set)::integer AS appointments_set,
        sum(d.appointments_held)::integer AS appointments_held, sum(d.estimates)::integer AS estimates,
        sum(d.sold)::integer AS sold, sum(d.revenue)::numeric(14, 2) AS revenue, sum(d.cancelled)::integer AS cancelled,
        sum(d.cancelled_amount)::numeric(14, 2) AS cancelled_amount
    FROM done AS d WHERE d.rep_id IS NOT NULL GROUP BY d.rep_id
), changed AS (
    SELECT c.rep_id, sum(c.change_orders)::integer AS change_orders, sum(c.changed_amount) AS amount
    FROM marts.job_change_orders AS c GROUP BY c.rep_id
)
SELECT s.rep_id, p.person_id, p.display_name AS rep, p.email, coalesce(p.source_tables, '{}') AS crms, s.leads,
    s.leads_assigned, s.appointments_set, s.appointments_held, s.estimates, s.sold, s.revenue, s.cancelled, s.cancelled_amount,
    coalesce(c.change_orders, 0) AS change_orders, coalesce(c.amount, 0)::numeric(14, 2) AS change_order_amount,
    CASE WHEN s.sold < 100 * s.appointments_held
         THEN round(s.sold::numeric / nullif(s.appointments_held, 0), 4) END::numeric(6, 4) AS close_rate
FROM summed AS s
    LEFT JOIN identity.person AS p
        ON p.person_id = CASE WHEN s.rep_id ~ '^[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}$' THEN s.rep_id::uuid END
    LEFT JOIN changed AS c ON c.rep_id = s.rep_id

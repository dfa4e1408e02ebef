-- One row per person whom a source calls a lead or a customer: when each stage was reached first, and where it stopped.
WITH told AS (
    SELECT t.* FROM marts.activity_timeline AS t JOIN mart_person USING (person_id)
), touch AS (
    SELECT t.person_id, min(t.occurred_at) AS first_touch_at,
        (array_agg(t.lead_source ORDER BY t.occurred_at, t.source_table, t.source_key)
            FILTER (WHERE t.lead_source IS NOT NULL))[1] AS first_touch_source
    FROM told AS t
    WHERE t.kind IN ('form', 'lead', 'door_knock') OR t.kind IN ('call', 'text') AND t.direction IS DISTINCT FROM 'outbound'
    GROUP BY t.person_id
), stage AS (
    SELECT t.person_id,
        min(t.occurred_at) FILTER (WHERE t.kind IN ('lead', 'form', 'door_knock')) AS lead_at,
        min(t.occurred_at) AS began_at,
        min(t.occurred_at) FILTER (WHERE t.kind = 'appointment_set') AS appointment_at,
        min(t.occurred_at) FILTER (WHERE t.is_held AND t.occurred_at <= now()) AS visited_at
    FROM told AS t
    WHERE t.kind IN ('lead', 'form', 'door_knock', 'appointment_set', 'appointment', 'visit', 'booking', 'estimate', 'deal',
                     'sale', 'job', 'credit_application')
    GROUP BY t.person_id
), sold AS (
    SELECT s.person_id, count(*) AS jobs, min(s.sold_at) AS sold_at, min(s.installed_at) AS installed_at,
        min(s.paid_at) AS paid_at, coalesce(sum(s.amount), 0) AS sold_amount, coalesce(sum(s.paid_amount), 0) AS paid_amount
    FROM marts.sale AS s JOIN mart_person USING (person_id)
    WHERE s.is_standing
    GROUP BY s.person_id
), any_sale AS (
    SELECT s.person_id, max(s.cancelled_at) AS cancelled_at,
        (array_agg(s.rep_id ORDER BY s.is_standing DESC, s.sold_at, s.source_key) FILTER (WHERE s.rep IS NOT NULL))[1] AS rep_id,
        (array_agg(s.rep ORDER BY s.is_standing DESC, s.sold_at, s.source_key) FILTER (WHERE s.rep IS NOT NULL))[1] AS rep,
        (array_agg(s.division ORDER BY s.is_standing DESC, s.sold_at, s.source_key)
            FILTER (WHERE s.division IS NOT NULL))[1] AS division
    FROM marts.sale AS s JOIN mart_person USING (person_id)
    GROUP BY s.person_id
), of_us AS (
    -- Who visits goes before who was given the lead; of those the last.
    SELECT DISTINCT ON (t.person_id) t.person_id, t.our_user_id AS rep_id, t.our_user AS rep
    FROM told AS t
    WHERE t.our_user IS NOT NULL AND t.kind IN ('appointment', 'assignment', 'lead')
    ORDER BY t.person_id, array_position(ARRAY['appointment', 'assignment', 'lead'], t.kind), t.occurred_at DESC,
        t.source_table, t.source_key
), branch AS (
    SELECT DISTINCT ON (t.person_id) t.person_id, t.division
    FROM told AS t WHERE t.division IS NOT NULL
    ORDER BY t.person_id, t.occurred_at DESC, t.source_table, t.source_key, t.kind
), given_up AS (
    -- The last word of a source that nothing will come of it, unless something came after. Where it has a day alone, what
    -- came on that day was before.
    SELECT t.person_id, max(t.occurred_at) AS lost_at,
        max(CASE WHEN t.occurred_at = t.occurred_day::timestamp AT TIME ZONE {zone}
                 THEN (t.occurred_day + 1)::timestamp AT TIME ZONE {zone} - interval '1 microsecond'
                 ELSE t.occurred_at END) AS until
    FROM told AS t
    WHERE t.kind IN ('lost', 'deal_lost', 'cancellation') OR t.kind = 'status_change' AND t.outcome IN ('disqualified', 'lost')
    GROUP BY t.person_id
), resumed AS (
    -- What comes of them, and a visit that took place. A lead within seven days of another one, or of a form or a door, is
    -- the same, told by another CRM.
    SELECT t.person_id, max(t.occurred_at) AS last_at
    FROM (
        SELECT t.person_id, t.occurred_at FROM told AS t
        WHERE t.kind IN ('appointment_set', 'estimate', 'deal', 'job', 'sale', 'form') OR t.is_held
            OR t.kind IN ('call', 'text') AND t.direction = 'inbound'
        UNION ALL
        SELECT l.person_id, l.occurred_at FROM (
            SELECT t.person_id, t.occurred_at, t.kind, t.direction,
                t.occurred_at - lag(t.occurred_at) OVER (PARTITION BY t.person_id ORDER BY t.occurred_at) AS apart
            FROM told AS t WHERE t.kind IN ('lead', 'form', 'door_knock')
        ) AS l
        WHERE l.kind = 'lead' AND l.direction = 'inbound' AND (l.apart IS NULL OR l.apart > interval '7 days')
    ) AS t
    GROUP BY t.person_id
), last_touch AS (
    SELECT DISTINCT ON (t.person_id) t.person_id, t.lead_source
    FROM told AS t LEFT JOIN sold AS s USING (person_id)
    WHERE t.lead_source IS NOT NULL AND (s.sold_at IS NULL OR t.occurred_at <= s.sold_at + interval '1 day')
        AND (t.kind IN ('form', 'lead', 'door_knock')
             OR t.kind IN ('call', 'text') AND t.direction IS DISTINCT FROM 'outbound')
    ORDER BY t.person_id, t.occurred_at DESC, t.source_table, t.source_key
), reached AS (
    SELECT p.person_id, p.household_id, c.first_touch_at, c.first_touch_source, l.lead_source AS last_touch_source,
        coalesce(g.lead_at, g.began_at) AS lead_at, g.appointment_at, g.visited_at, s.sold_at, s.installed_at, s.paid_at,
        CASE WHEN s.sold_at IS NULL AND u.until >= coalesce(r.last_at, u.until) THEN u.lost_at END AS lost_at,
        coalesce(a.division, b.division) AS division, coalesce(a.rep, o.rep) AS rep,
        CASE WHEN a.rep IS NOT NULL THEN a.rep_id ELSE o.rep_id END AS rep_id, left(p.zip, 5) AS zip,
        coalesce(s.jobs, 0)::integer AS jobs, coalesce(s.sold_amount, 0)::numeric(14, 2) AS sold_amount,
        coalesce(s.paid_amount, 0)::numeric(14, 2) AS paid_amount
    FROM identity.person AS p
        JOIN mart_person AS m ON m.person_id = p.person_id
        JOIN stage AS g ON g.person_id = p.person_id
        LEFT JOIN touch AS c ON c.person_id = p.person_id
        LEFT JOIN last_touch AS l ON l.person_id = p.person_id
        LEFT JOIN sold AS s ON s.person_id = p.person_id
        LEFT JOIN any_sale AS a ON a.person_id = p.person_id
        LEFT JOIN of_us AS o ON o.person_id = p.person_id
        LEFT JOIN branch AS b ON b.person_id = p.person_id
        LEFT JOIN given_up AS u ON u.person_id = p.person_id
        LEFT JOIN resumed AS r ON r.person_id = p.person_id
    WHERE p.kind = 'customer'
)
SELECT r.person_id, r.household_id, r.first_touch_at, r.first_touch_source, r.last_touch_source, r.lead_at, r.appointment_at,
    r.visited_at, r.sold_at, r.installed_at, r.paid_at, r.lost_at,
    ((r.appointment_at AT TIME ZONE {zone})::date - (r.lead_at AT TIME ZONE {zone})::date) AS days_to_appointment,
    ((r.visited_at AT TIME ZONE {zone})::date - (r.appointment_at AT TIME ZONE {zone})::date) AS days_to_visit,
    ((r.sold_at AT TIME ZONE {zone})::date - (r.visited_at AT TIME ZONE {zone})::date) AS days_to_sale,
    ((r.installed_at AT TIME ZONE {zone})::date - (r.sold_at AT TIME ZONE {zone})::date) AS days_to_installation,
    ((r.paid_at AT TIME ZONE {zone})::date - (r.installed_at AT TIME ZONE {zone})::date) AS days_to_payment,
    s.stage, CASE WHEN r.lost_at IS NOT NULL THEN s.stage END AS stopped_at,
    r.division, r.rep, r.rep_id, r.zip, r.jobs, r.sold_amount, r.paid_amount
FROM reached AS r,
    LATERAL (SELECT CASE WHEN r.paid_at IS NOT NULL THEN 'paid' WHEN r.installed_at IS NOT NULL THEN 'installed'
        WHEN r.sold_at IS NOT NULL THEN 'sold' WHEN r.visited_at IS NOT NULL THEN 'visited'
        WHEN r.appointment_at IS NOT NULL THEN 'appointment' ELSE 'lead' END AS stage) AS s

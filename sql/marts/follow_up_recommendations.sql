-- Whom to contact today, why, and by which channel: of each owner the forty most urgent. Who has a do-not-call entry in
-- force, of any channel, is not here. A channel is named where there is a number or an address, and a basis for it: consent;
-- or, for what a person does by hand, which a call and an e-mail of this list are, that they bought of us within 18 months,
-- or came to us within three. That is the business relationship of the telephone rules (47 CFR 64.1200(f)(5)). A text needs
-- consent, post needs nothing, and what was taken back is no basis. A lead's record says that they came only where it names
-- its source, and we did not go to them or buy or import it.
WITH day AS (
    SELECT (now() AT TIME ZONE {zone})::date AS today,
        ((now() AT TIME ZONE {zone})::date + 1)::timestamp AT TIME ZONE {zone} AS ends_at
), open AS (
    SELECT l.organization_id, l.id AS lead_id, l.golden_id AS person_id, l.status, l.status_changed_at, l.created_at,
        l.lead_score, l.owner_id
    FROM crm.leads AS l
    WHERE l.deleted_at IS NULL
        AND l.status IN ('new', 'contacted', 'qualified', 'appointment_set', 'proposal', 'nurturing')
), said AS (
    -- What happened between them and us in the last year, and what is still to come.
    SELECT a.person_id, a.source_table, a.source_key, a.crm_source, a.kind, a.occurred_at, a.direction, a.outcome, a.amount,
        a.is_held,
        a.occurred_at <= now() AND CASE a.kind
            WHEN 'call' THEN a.direction = 'outbound' AND coalesce(a.outcome, '') !~* '(not?[ _-]?answer|missed|voice ?mail'
                '|machine|busy|wrong|disconnect|abandon|hung ?up|not in service|fax|no contact)' OR a.outcome = 'answered'
            WHEN 'door_knock' THEN coalesce(a.outcome, '') !~* '(not?[ _-]?(home|answer)|vacant)'
            WHEN 'appointment' THEN a.is_held WHEN 'visit' THEN a.is_held
            ELSE a.kind IN ('appointment_set', 'estimate') END AS reached,
        -- They came to us, or asked us to come.
        CASE a.kind WHEN 'form' THEN true WHEN 'appointment_set' THEN true WHEN 'appointment' THEN true
            WHEN 'visit' THEN true WHEN 'estimate' THEN true WHEN 'call' THEN a.direction = 'inbound'
            WHEN 'text' THEN a.direction = 'inbound'
            WHEN 'lead' THEN a.direction = 'inbound' AND a.lead_source !~ '(canvass|door.?(knock|to)|cold.?call|offline|import'
                '|migrat|purchased|unknown|unattributed|unassigned|not set)|^(other|none|n/?a|null|test)$'
            ELSE false END AS came
    FROM marts.activity_timeline AS a
        JOIN (SELECT DISTINCT o.person_id FROM open AS o) AS o ON o.person_id = a.person_id
    WHERE a.occurred_at > now() - interval '365 days'
        AND a.kind IN ('call', 'text', 'form', 'lead', 'door_knock', 'appointment_set', 'appointment', 'visit', 'estimate')
), appointment AS (
    SELECT s.person_id, s.source_table, s.source_key, s.crm_source, s.occurred_at,
        coalesce(s.outcome ~* '(cancel|re-?schedul|\mreset\M)', false) AS is_off
    FROM said AS s WHERE s.kind = 'appointment'
), called_off AS (
    -- A CRM tells of an appointment by the nearest of its own, within a day and a half: another one may be the new date.
    SELECT DISTINCT t.source_table, t.source_key FROM (
        SELECT DISTINCT ON (a.source_table, a.source_key, o.crm_source) a.source_table, a.source_key, o.is_off
        FROM appointment AS a
            JOIN appointment AS o ON o.person_id = a.person_id
                AND o.occurred_at BETWEEN a.occurred_at - interval '36 hours' AND a.occurred_at + interval '36 hours'
        WHERE o.crm_source <> a.crm_source OR (o.source_table, o.source_key) = (a.source_table, a.source_key)
        ORDER BY a.source_table, a.source_key, o.crm_source,
            greatest(o.occurred_at - a.occurred_at, a.occurred_at - o.occurred_at), o.is_off
    ) AS t WHERE t.is_off
), known AS (
    SELECT s.person_id,
        max(s.occurred_at) FILTER (WHERE s.reached) AS reached_at,
        max(s.occurred_at) FILTER (WHERE s.kind = 'call' AND s.direction = 'inbound' AND s.outcome IS DISTINCT FROM 'answered'
                                   AND s.occurred_at <= now()) AS missed_at,
        max(s.occurred_at) FILTER (WHERE s.kind IN ('form', 'lead') AND s.came AND s.occurred_at <= now()) AS asked_at,
        max(s.occurred_at) FILTER (WHERE s.came AND c.source_key IS NULL) AS came_at,
        min(s.occurred_at) FILTER (WHERE s.kind = 'appointment' AND c.source_key IS NULL AND s.occurred_at > now()) AS next_at,
        max(s.occurred_at) FILTER (WHERE s.kind = 'appointment' AND c.source_key IS NULL AND s.occurred_at <= now()) AS last_at,
        max(s.occurred_at) FILTER (WHERE c.source_key IS NOT NULL) AS off_at,
        max(s.occurred_at) FILTER (WHERE s.is_held AND s.occurred_at <= now()) AS held_at,
        max(s.occurred_at) FILTER (WHERE s.kind = 'estimate' AND s.occurred_at <= now()) AS estimate_at,
        (array_agg(s.amount ORDER BY s.occurred_at DESC, s.amount DESC)
         FILTER (WHERE s.kind = 'estimate' AND s.occurred_at <= now() AND s.amount > 0))[1] AS estimate
    FROM said AS s
        LEFT JOIN called_off AS c ON s.kind = 'appointment' AND c.source_table = s.source_table AND c.source_key = s.source_key
    GROUP BY s.person_id
), bought AS (
    SELECT q.person_id, max(s.sold_at) AS bought_at
    FROM marts.sale AS s, unnest(s.person_ids) AS q (person_id)
    WHERE s.is_standing AND q.person_id IN (SELECT o.person_id FROM open AS o)
    GROUP BY q.person_id
), found AS (
    SELECT o.*, k.reached_at, k.came_at, b.bought_at, r.code, r.weight, r.reason
    FROM open AS o
        LEFT JOIN known AS k ON k.person_id = o.person_id
        LEFT JOIN bought AS b ON b.person_id = o.person_id
        CROSS JOIN LATERAL (
            SELECT 'missed_call' AS code, 90 AS weight,
                'Called on ' || to_char(k.missed_at AT TIME ZONE {zone}, 'FMDD FMMonth') || ', and nobody answered.' AS reason
            WHERE k.missed_at > now() - interval '14 days' AND (k.reached_at IS NULL OR k.reached_at < k.missed_at)
            UNION ALL
            SELECT 'unanswered_request', 85,
                'Asked on ' || to_char(k.asked_at AT TIME ZONE {zone}, 'FMDD FMMonth') || ', and nobody has answered.'
            WHERE k.asked_at > now() - interval '14 days' AND (k.reached_at IS NULL OR k.reached_at < k.asked_at)
            UNION ALL
            SELECT 'appointment_soon', 80,
                'Has an appointment on ' || to_char(k.next_at AT TIME ZONE {zone}, 'FMDD FMMonth HH24:MI') || ': confirm it.'
            WHERE k.next_at <= now() + interval '2 days'
            UNION ALL
            SELECT 'appointment_missed', 70,
                'Was not met at the appointment of ' || to_char(k.last_at AT TIME ZONE {zone}, 'FMDD FMMonth')
                || ': agree on another day.'
            WHERE k.last_at > now() - interval '30 days' AND k.next_at IS NULL
                AND (k.held_at IS NULL OR k.held_at < k.last_at - interval '36 hours')
                AND (k.estimate_at IS NULL OR k.estimate_at < k.last_at - interval '36 hours')
            UNION ALL
            SELECT 'appointment_called_off', 65,
                'Had an appointment on ' || to_char(k.off_at AT TIME ZONE {zone}, 'FMDD FMMonth')
                || ', which was called off: agree on another day.'
            WHERE k.off_at > now() - interval '30 days' AND k.next_at IS NULL
                AND coalesce(greatest(k.last_at, k.held_at, k.estimate_at) < k.off_at - interval '36 hours', true)
            UNION ALL
            SELECT 'new', CASE WHEN o.created_at > now() - interval '30 days' THEN 60 ELSE 25 END,
                'Is new since ' || to_char(o.created_at AT TIME ZONE {zone}, 'FMDD FMMonth YYYY')
                || ', and nobody has made contact.'
            WHERE o.status = 'new' AND k.reached_at IS NULL AND o.created_at > now() - interval '365 days'
                AND coalesce(greatest(k.asked_at, k.missed_at) < now() - interval '14 days', true)
            UNION ALL
            SELECT 'open_estimate', 55,
                'Has an estimate' || coalesce(' of $' || to_char(k.estimate, 'FM999,999,990.00'), '') || ' since '
                || to_char(k.estimate_at AT TIME ZONE {zone}, 'FMDD FMMonth') || ', and has not decided.'
            WHERE k.estimate_at BETWEEN now() - interval '45 days' AND now() - interval '2 days' AND o.status = 'proposal'
            UNION ALL
            SELECT 'quiet', 30, 'Was ' || replace(o.status, '_', ' ') || ', and has not been contacted since '
                || to_char(k.reached_at AT TIME ZONE {zone}, 'FMDD FMMonth YYYY') || '.'
            WHERE o.status IN ('contacted', 'qualified', 'nurturing') AND k.next_at IS NULL
                AND k.reached_at BETWEEN now() - interval '365 days' AND now() - interval '30 days'
        ) AS r
), one_each AS (
    SELECT f.organization_id, f.lead_id, f.person_id, f.status, f.owner_id, f.lead_score, f.reached_at, f.came_at, f.bought_at,
        max(f.weight) + f.lead_score / 10 AS priority,
        array_agg(f.code ORDER BY f.weight DESC) AS codes, array_agg(f.reason ORDER BY f.weight DESC) AS reasons
    FROM found AS f
    GROUP BY f.organization_id, f.lead_id, f.person_id, f.status, f.owner_id, f.lead_score, f.reached_at, f.came_at, f.bought_at
), based AS (
    -- The basis is asked before the do-not-call list, which takes longer; both must permit.
    SELECT o.organization_id, o.lead_id, c.channel, c.place,
        CASE WHEN c.channel = 'mail' THEN 'none needed'
             WHEN crm.has_consent(l.consent, c.channel) THEN 'consent'
             WHEN c.channel = 'sms' OR EXISTS (
                 SELECT FROM jsonb_array_elements(l.consent) AS g (said)
                 WHERE g.said ->> 'channel' = c.channel AND g.said ? 'revoked_at') THEN NULL
             WHEN o.bought_at > now() - interval '18 months' THEN 'customer'
             WHEN o.came_at > now() - interval '3 months' THEN 'inquiry' END AS basis
    FROM one_each AS o
        JOIN crm.leads AS l ON l.organization_id = o.organization_id AND l.id = o.lead_id
        LEFT JOIN identity.person AS p ON p.person_id = o.person_id
        CROSS JOIN unnest('{call,sms,email,mail}'::text[]) WITH ORDINALITY AS c (channel, place)
    WHERE CASE c.channel WHEN 'email' THEN l.email IS NOT NULL WHEN 'mail' THEN p.street IS NOT NULL
                         ELSE l.phone IS NOT NULL END
    OFFSET 0
), permitted AS (
    SELECT b.organization_id, b.lead_id, array_agg(b.channel ORDER BY b.place) AS channels,
        array_agg(b.basis ORDER BY b.place) AS bases
    FROM based AS b WHERE b.basis IS NOT NULL
    GROUP BY b.organization_id, b.lead_id
), reachable AS (
    SELECT o.*, p.channels, p.bases
    FROM one_each AS o JOIN permitted AS p ON p.organization_id = o.organization_id AND p.lead_id = o.lead_id
), urgent AS (
    SELECT r.*, row_number() OVER (PARTITION BY r.organization_id, r.owner_id
                                   ORDER BY r.priority DESC, r.reached_at DESC NULLS FIRST, r.lead_id) AS place
    FROM reachable AS r
), asked AS (
    SELECT u.*, crm.lead_block_reason(l, NULL) AS blocked
    FROM urgent AS u JOIN crm.leads AS l ON l.organization_id = u.organization_id AND l.id = u.lead_id
    WHERE u.place <= 40
    OFFSET 0
)
SELECT a.organization_id, a.lead_id, a.person_id, a.priority::smallint AS priority, a.codes, a.reasons,
    a.channels[1] AS channel, a.channels, a.bases, a.status, a.owner_id, w.display_name AS owner,
    a.reached_at AS last_reached_at, d.today AS due_on, d.ends_at AS expires_at
FROM asked AS a
    CROSS JOIN day AS d
    LEFT JOIN identity.person AS w ON w.person_id = a.owner_id
WHERE a.blocked IS NULL

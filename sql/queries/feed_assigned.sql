-- feed_lead: which lead each wanted person has: one that is there, one that comes back, one of the same phone or e-mail
-- and name that nobody fed before, or a new one. Who was deleted by hand stays deleted.
CREATE TEMP TABLE feed_lead ON COMMIT DROP AS
    WITH chosen AS (
        SELECT DISTINCT ON (m.person_id) m.person_id, m.lead_id, m.is_live, m.deleted_by_feed, m.is_own
        FROM feed_match AS m
        WHERE m.is_live OR m.is_own OR m.deleted_by_feed IS NULL
        ORDER BY m.person_id, m.is_live DESC, m.is_own DESC, m.deleted_by_feed NULLS LAST, m.created_at, m.lead_id
    ), known AS (
        SELECT w.person_id, c.lead_id,
            CASE WHEN c.lead_id IS NULL THEN 'new' WHEN c.is_live THEN 'live'
                 WHEN c.deleted_by_feed IS NOT NULL THEN 'revived' ELSE 'deleted' END AS state
        FROM feed_wanted AS w LEFT JOIN chosen AS c USING (person_id)
        WHERE w.organization_id = %(organization)s
    ), adopted AS (
        SELECT DISTINCT ON (l.id) l.id AS lead_id, k.person_id
        FROM known AS k
            JOIN feed_wanted AS w ON w.organization_id = %(organization)s AND w.person_id = k.person_id
            JOIN crm.leads AS l ON l.organization_id = w.organization_id AND l.golden_id IS NULL
                AND l.deleted_at IS NULL AND l.erased_at IS NULL
                AND (l.phone = ANY (w.phones) OR lower(l.email) = ANY (w.emails))
        WHERE k.state = 'new'
            -- Whose a lead is that identity has seen, identity says.
            AND NOT EXISTS (SELECT FROM identity.member AS m
                            WHERE m.source_table = 'crm.entered_leads' AND m.source_key = l.id::text)
            -- Who shares a phone shares no lead.
            AND lower(coalesce(l.last_name, w.last_name, '')) = lower(coalesce(w.last_name, l.last_name, ''))
            AND (lower(coalesce(l.first_name, w.first_name, '')) = lower(coalesce(w.first_name, l.first_name, '')))
            AND (l.first_name IS NOT NULL AND w.first_name IS NOT NULL OR lower(l.email) = ANY (w.emails))
        ORDER BY l.id, k.person_id
    ), one_each AS (
        SELECT DISTINCT ON (person_id) person_id, lead_id FROM adopted ORDER BY person_id, lead_id
    )
    SELECT k.person_id, coalesce(k.lead_id, a.lead_id, gen_random_uuid()) AS lead_id,
        CASE WHEN k.state = 'new' AND a.lead_id IS NOT NULL THEN 'adopted' ELSE k.state END AS state
    FROM known AS k LEFT JOIN one_each AS a USING (person_id);
CREATE UNIQUE INDEX ON feed_lead (person_id);
CREATE UNIQUE INDEX ON feed_lead (lead_id);
ANALYZE feed_lead

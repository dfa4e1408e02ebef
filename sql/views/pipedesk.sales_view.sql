-- Leads that sales works on: neither deleted nor qualified, with their words, their numbers and their primary contact.
SELECT
    l.id,
    l.legal_name AS title,
    l.legal_name,
    l.trade_name,
    l.lead_status_id,
    status.code AS status_code,
    status.label AS status_label,
    l.lead_origin_id,
    origin.label AS origin_label,
    l.owner_user_id,
    owner.name AS owner_name,
    l.address_city,
    l.address_state,
    l.priority_score,
    l.last_interaction_at,
    stats.engagement_score,
    stats.total_interactions,
    l.disqualified_at,
    l.created_at,
    l.updated_at,
    contact.primary_contact
FROM pipedesk.leads AS l
    LEFT JOIN pipedesk.lead_statuses AS status ON status.id = l.lead_status_id
    LEFT JOIN pipedesk.lead_origins AS origin ON origin.id = l.lead_origin_id
    LEFT JOIN pipedesk.users AS owner ON owner.id = l.owner_user_id
    LEFT JOIN pipedesk.lead_activity_stats AS stats ON stats.lead_id = l.id AND NOT stats.archived
    LEFT JOIN LATERAL (
        SELECT jsonb_build_object('id', c.id, 'name', c.name, 'email', c.email, 'phone', c.phone, 'role', c.role)
            AS primary_contact
        FROM pipedesk.lead_contacts AS k JOIN pipedesk.contacts AS c ON c.id = k.contact_id
        WHERE k.lead_id = l.id AND NOT k.archived AND NOT c.archived
        ORDER BY k.is_primary IS TRUE DESC, k.added_at, k.contact_id
        LIMIT 1
    ) AS contact ON true
WHERE l.deleted_at IS NULL AND l.qualified_at IS NULL AND NOT l.archived

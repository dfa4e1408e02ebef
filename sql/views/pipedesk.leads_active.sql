-- Leads that are neither deleted nor qualified.
SELECT
    id,
    legal_name,
    trade_name,
    lead_status_id,
    lead_origin_id,
    owner_user_id,
    address_city,
    address_state,
    last_interaction_at,
    priority_score,
    disqualified_at,
    disqualification_reason,
    created_at,
    updated_at
FROM pipedesk.leads
WHERE deleted_at IS NULL AND qualified_at IS NULL AND NOT archived

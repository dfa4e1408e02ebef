-- Leads under the names of PipeDesk's own code, where legal_name is title. Deleted and qualified ones are among them.
SELECT
    id,
    legal_name AS title,
    legal_name,
    trade_name,
    lead_status_id,
    lead_origin_id,
    owner_user_id,
    qualified_company_id,
    qualified_master_deal_id,
    address_city,
    address_state,
    last_interaction_at,
    priority_score,
    disqualified_at,
    disqualification_reason,
    qualified_at,
    deleted_at,
    created_at,
    updated_at
FROM pipedesk.leads

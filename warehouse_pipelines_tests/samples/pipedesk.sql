-- A lead as the notes show one, with the columns of the product's models and types of its migrations, and what belongs
-- to it. Names and numbers are invented.
CREATE TABLE lead_statuses (id uuid PRIMARY KEY, code text, label text);
CREATE TABLE leads (
    id uuid PRIMARY KEY, legal_name text NOT NULL, trade_name text, lead_status_id uuid, lead_origin_id uuid,
    owner_user_id uuid, qualified_company_id uuid, qualified_master_deal_id uuid, address_city text, address_state text,
    last_interaction_at timestamptz, priority_score integer DEFAULT 0, disqualified_at timestamptz,
    disqualification_reason text, qualified_at timestamptz, deleted_at timestamptz, created_at timestamptz,
    updated_at timestamptz, segment text
);
CREATE TABLE user_roles (id serial PRIMARY KEY, user_id uuid, role text);
INSERT INTO lead_statuses VALUES ('5c1a3f6e-0000-4000-8000-000000000001', 'NEW', 'New');
INSERT INTO leads (id, legal_name, lead_status_id, priority_score, created_at, updated_at, segment) VALUES
    ('7b0c9f34-51d2-4f0a-9a67-3f2e7d1c0a01', 'Alfa Ltda', '5c1a3f6e-0000-4000-8000-000000000001', 40,
     '2025-11-01 12:00:00.123456+00', '2025-11-02 08:15:00.000001+00', 'retail');
INSERT INTO leads (id, legal_name, qualified_at, deleted_at, created_at) VALUES
    ('7b0c9f34-51d2-4f0a-9a67-3f2e7d1c0a02', 'Beta "& Filhos"', '2025-11-05 09:30:00-03', '2025-11-05 09:30:00-03',
     '2025-10-01 12:00:00+00');
INSERT INTO user_roles (user_id, role) VALUES ('00000000-0000-0000-0000-000000000001', 'admin');

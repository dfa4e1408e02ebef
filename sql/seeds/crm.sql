-- Invented people for a first look at the schema crm: `warehouse migrate --seed`. Not for production.
--
-- Safe to repeat: every row has a fixed key, and one that is there stays as it is. The phone numbers are of the
-- range that is kept for fiction.

SELECT set_config('app.organization_id', '00000000-0000-0000-0000-000000000001', true),
       set_config('app.user_id', '00000000-0000-0000-0000-0000000000a1', true),
       set_config('app.triggered_by', 'seed', true);

INSERT INTO crm.system_config (organization_id, key, value) VALUES
    ('00000000-0000-0000-0000-000000000001', 'assignment.users',
     '["00000000-0000-0000-0000-0000000000a1", "00000000-0000-0000-0000-0000000000a2"]'),
    ('00000000-0000-0000-0000-000000000001', 'assignment.territories',
     '[{"divisions": ["north"], "postal_prefixes": ["981"], "users": ["00000000-0000-0000-0000-0000000000a1"]},
       {"divisions": ["south"], "postal_prefixes": ["984"], "users": ["00000000-0000-0000-0000-0000000000a2"]}]'),
    ('00000000-0000-0000-0000-000000000001', 'scoring.sources', '{"referral": 1, "google": 0.6, "facebook": 0.4}')
ON CONFLICT DO NOTHING;

INSERT INTO crm.leads (id, organization_id, first_name, last_name, email, phone, status, source, source_metadata, tags,
                       timezone, division, postal_code, value_usd, consent) VALUES
    ('00000000-0000-0000-0001-000000000001', '00000000-0000-0000-0000-000000000001', 'Ada', 'Example',
     'ada@example.com', '+12065550101', 'new', 'google', '{"utm_campaign": "roof"}', '{hot}', 'America/Los_Angeles',
     'north', '98101', NULL, '[{"channel": "sms", "at": "2025-01-02T10:00:00Z", "source": "form", "text_version": "3"},
       {"channel": "email", "at": "2025-01-02T10:00:00Z", "source": "form", "text_version": "3"},
       {"channel": "call", "at": "2025-01-02T10:00:00Z", "source": "form", "text_version": "3"}]'),
    ('00000000-0000-0000-0001-000000000002', '00000000-0000-0000-0000-000000000001', 'Ben', 'Sample',
     'ben@example.com', '+12065550102', 'contacted', 'facebook', '{}', '{}', 'America/Los_Angeles', 'north', '98102',
     NULL, '[]'),
    ('00000000-0000-0000-0001-000000000003', '00000000-0000-0000-0000-000000000001', 'Cleo', 'Muster',
     'cleo@example.com', '+12065550103', 'qualified', 'referral', '{}', '{hot,referral}', 'America/Los_Angeles', 'south',
     '98401', 12000,
     '[{"channel": "sms", "at": "2025-01-03T10:00:00Z", "source": "form", "text_version": "3"},
       {"channel": "email", "at": "2025-01-03T10:00:00Z", "source": "form", "text_version": "3"},
       {"channel": "call", "at": "2025-01-05T10:00:00Z", "source": "phone", "text_version": "3"}]'),
    ('00000000-0000-0000-0001-000000000004', '00000000-0000-0000-0000-000000000001', 'Dan', 'Modelo',
     'dan@example.com', '+12065550104', 'appointment_set', 'google', '{}', '{}', 'America/Denver', 'south', '98402',
     9000, '[]'),
    ('00000000-0000-0000-0001-000000000005', '00000000-0000-0000-0000-000000000001', 'Eve', 'Esempio',
     'eve@example.com', '+12065550105', 'proposal', 'google', '{}', '{executive}', NULL, 'north', '98103', 15000, '[]'),
    ('00000000-0000-0000-0001-000000000006', '00000000-0000-0000-0000-000000000001', 'Fay', 'Exemple',
     'fay@example.com', '+12065550106', 'nurturing', 'facebook', '{}', '{}', NULL, 'north', '98104', NULL, '[]'),
    ('00000000-0000-0000-0001-000000000007', '00000000-0000-0000-0000-000000000001', 'Gus', 'Przyklad',
     'gus@example.com', '+12065550107', 'won', 'referral', '{}', '{referral}', 'America/Chicago', 'south', '98403',
     18500, '[]'),
    ('00000000-0000-0000-0001-000000000008', '00000000-0000-0000-0000-000000000001', 'Hal', 'Beispiel',
     'hal@example.com', '+12065550108', 'lost', 'google', '{}', '{}', NULL, 'south', '98404', NULL, '[]'),
    ('00000000-0000-0000-0001-000000000009', '00000000-0000-0000-0000-000000000001', 'Ida', 'Voorbeeld',
     'ida@example.com', '+12065550109', 'disqualified', 'facebook', '{}', '{}', NULL, 'north', '98105', NULL, '[]'),
    ('00000000-0000-0000-0001-000000000010', '00000000-0000-0000-0000-000000000001', 'Jon', 'Exemplo',
     'jon@example.com', '+12065550010', 'contacted', 'google', '{}', '{}', NULL, 'north', '98106', NULL, '[]')
ON CONFLICT DO NOTHING;

INSERT INTO crm.dnc_list (id, organization_id, phone, reason, detected_by, detection_confidence, evidence, lead_id,
                          expires_at) VALUES
    ('00000000-0000-0000-0002-000000000001', '00000000-0000-0000-0000-000000000001', '+12065550010', 'opt_out', 'ai',
     0.97, 'Please do not call me again.', '00000000-0000-0000-0001-000000000010', NULL),
    ('00000000-0000-0000-0002-000000000002', '00000000-0000-0000-0000-000000000001', '+12065550199', 'temporary', 'user',
     NULL, NULL, NULL, '2099-01-01')
ON CONFLICT DO NOTHING;

INSERT INTO crm.lead_source_costs (id, organization_id, source, month, amount, currency, fx_rate_to_usd) VALUES
    ('00000000-0000-0000-0003-000000000001', '00000000-0000-0000-0000-000000000001', 'google', '2025-01-01', 1200, 'USD', NULL),
    ('00000000-0000-0000-0003-000000000002', '00000000-0000-0000-0000-000000000001', 'facebook', '2025-01-01', 300, 'EUR', 1.04)
ON CONFLICT DO NOTHING;

INSERT INTO crm.segments (id, organization_id, name, filter_criteria, created_by) VALUES
    ('00000000-0000-0000-0004-000000000001', '00000000-0000-0000-0000-000000000001', 'Hot and open',
     '{"and": [{"field": "tags", "op": "has", "value": "hot"},
               {"not": {"field": "status", "op": "in", "value": ["won", "lost", "disqualified"]}}]}',
     '00000000-0000-0000-0000-0000000000a1')
ON CONFLICT DO NOTHING;

INSERT INTO crm.nurture_sequences (id, organization_id, name, steps, trigger_conditions, segment_id) VALUES
    ('00000000-0000-0000-0005-000000000001', '00000000-0000-0000-0000-000000000001', 'Welcome',
     '[{"channel": "sms", "template": "welcome"}, {"channel": "email", "template": "guide", "delay_minutes": 1440},
       {"channel": "call", "script": "first call", "delay_minutes": 2880}]', '{"status": "new"}',
     '00000000-0000-0000-0004-000000000001'),
    ('00000000-0000-0000-0005-000000000002', '00000000-0000-0000-0000-000000000001', 'Win back',
     '[{"channel": "email", "template": "we miss you", "delay_minutes": 43200}]', '{"status": "lost"}', NULL)
ON CONFLICT DO NOTHING;

INSERT INTO crm.lead_sequence_enrollments (id, organization_id, lead_id, sequence_id, next_run_at) VALUES
    ('00000000-0000-0000-0006-000000000001', '00000000-0000-0000-0000-000000000001',
     '00000000-0000-0000-0001-000000000001', '00000000-0000-0000-0005-000000000001', now())
ON CONFLICT DO NOTHING;

INSERT INTO crm.budget_transactions (id, organization_id, account_id, amount_usd, kind, description)
SELECT t.* FROM (VALUES
    ('00000000-0000-0000-0007-000000000001'::uuid, '00000000-0000-0000-0000-000000000001'::uuid,
     '00000000-0000-0000-0000-0000000000c1'::uuid, 500.00, 'deposit', 'January'),
    ('00000000-0000-0000-0007-000000000002', '00000000-0000-0000-0000-000000000001',
     '00000000-0000-0000-0000-0000000000c1', -35.50, 'lead_purchase', NULL)) AS t (id)
WHERE NOT EXISTS (SELECT FROM crm.budget_transactions AS b WHERE b.id = t.id);

-- The trigger of crm.leads writes the assignments.
UPDATE crm.leads SET owner_id = '00000000-0000-0000-0000-0000000000a1'
    WHERE id IN ('00000000-0000-0000-0001-000000000002', '00000000-0000-0000-0001-000000000004') AND owner_id IS NULL;
SELECT crm.calculate_lead_score(l.id) FROM crm.leads AS l
    WHERE l.organization_id = '00000000-0000-0000-0000-000000000001'
        AND NOT EXISTS (SELECT FROM crm.lead_score_history AS h WHERE h.lead_id = l.id);

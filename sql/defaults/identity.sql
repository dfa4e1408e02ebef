-- The rules of the best values: a field or a table that has rows already keeps them as they are.
--
-- A name is the one that most records have, because a typo stands alone. An e-mail address is that of the source where
-- people look after it; an address is the newest, because people move.
WITH declared (field, position, rule) AS (VALUES
    ('name', 1, 'frequent'), ('name', 2, 'trusted'), ('name', 3, 'newest'), ('name', 4, 'longest'),
    ('business', 1, 'frequent'), ('business', 2, 'trusted'), ('business', 3, 'newest'), ('business', 4, 'longest'),
    ('email', 1, 'trusted'), ('email', 2, 'newest'), ('email', 3, 'frequent'),
    ('phone', 1, 'frequent'), ('phone', 2, 'trusted'), ('phone', 3, 'newest'),
    ('address', 1, 'newest'), ('address', 2, 'trusted'), ('address', 3, 'frequent')
)
INSERT INTO identity.survivorship (field, position, rule)
SELECT d.field, d.position, d.rule FROM declared AS d
WHERE NOT EXISTS (SELECT FROM identity.survivorship AS s WHERE s.field = d.field);

-- 10: what somebody of the office checks before each visit or contract. 20: the CRMs that are worked in daily. 30: what
-- the person typed into a form. 40: lists and copies of other tables. 60: typed at the door. 80: a caller's identification.
INSERT INTO identity.source_trust (source_table, field, rank) VALUES
    ('genius_prospect', '*', 10), ('genius_appointment', '*', 15), ('genius_lead', '*', 20), ('genius_contact', '*', 20),
    ('salespro_customer', '*', 15), ('salespro_estimate', '*', 15), ('salespro_credit_application', '*', 15),
    ('hubspot_contact', '*', 20), ('hubspot_appointment', '*', 25),
    ('marketsharp_contact', '*', 20), ('marketsharp_customer', '*', 20), ('marketsharp_prospect', '*', 22),
    ('marketsharp_lead', '*', 24), ('marketsharp_data', '*', 40),
    ('pipedesk.contacts', '*', 20), ('pipedesk.leads', '*', 25),
    ('arrivy_task', '*', 25), ('arrivy_booking', '*', 25),
    ('leadconduit_lead', '*', 30), ('callrail_form_submission', '*', 30),
    ('gsheet_marketing_lead', '*', 40), ('five9_contact', '*', 45), ('genius_marketsharp_contact', '*', 40),
    ('crm.entered_leads', '*', 40),
    ('salesrabbit_lead', '*', 60),
    ('callrail_call', '*', 80), ('callrail_text_message', '*', 80), ('pipedesk.calendar_events', '*', 80),
    ('genius_user', '*', 10), ('hubspot_owner', '*', 20), ('hubspot_geniususer', '*', 25), ('arrivy_entity', '*', 30),
    ('salesrabbit_user', '*', 30), ('salespro_user', '*', 30), ('callrail_user', '*', 30),
    ('marketsharp_employee', '*', 30), ('pipedesk.users', '*', 20),
    -- Who drives there has the right address; who wrote the e-mail address in person has the right one.
    ('arrivy_task', 'address', 10), ('arrivy_booking', 'address', 10), ('salesrabbit_lead', 'address', 15),
    ('leadconduit_lead', 'email', 10), ('callrail_form_submission', 'email', 10)
ON CONFLICT DO NOTHING;

-- The groups that a row of a source which changed since a time tells of, and those that the people of the run are in.
-- each account
SELECT 'company' AS relation, 'hubspot_company ' || a.company_id AS via
FROM hubspot_contact_to_company_association AS a WHERE a.sync_updated_at > %(since)s
UNION ALL
SELECT 'company', 'hubspot_company ' || c.id FROM hubspot_company AS c WHERE c.sync_updated_at > %(since)s
UNION ALL
SELECT 'company', 'hubspot_company ' || a.company_id
FROM mart_person AS p
    JOIN identity.member AS m ON m.person_id = p.person_id AND m.source_table = 'hubspot_contact'
    JOIN hubspot_contact_to_company_association AS a ON a.contact_id = m.source_key
-- all accounts
UNION ALL
SELECT 'company', 'pipedesk.companies ' || t.company_id FROM pipedesk.contacts AS t WHERE t.sync_updated_at > %(since)s
UNION ALL
SELECT 'company', 'pipedesk.companies ' || c.id FROM pipedesk.companies AS c WHERE c.sync_updated_at > %(since)s
UNION ALL
SELECT 'company', 'pipedesk.companies ' || t.company_id
FROM mart_person AS p
    JOIN identity.member AS m ON m.person_id = p.person_id AND m.source_table = 'pipedesk.contacts'
    JOIN pipedesk.contacts AS t ON t.id = CASE WHEN m.source_table = 'pipedesk.contacts' THEN m.source_key::uuid END
UNION ALL
SELECT 'household', p.household_id::text FROM mart_person JOIN identity.person AS p USING (person_id)
UNION ALL
SELECT 'property', p.property_id::text FROM mart_person JOIN identity.person AS p USING (person_id)

-- Who is in which household, property and company. In braces is what limits them to the groups of a run.
SELECT 'household' AS relation, p.person_id, p.household_id::text AS via FROM identity.person AS p
WHERE p.kind = 'customer' AND p.household_id IS NOT NULL {of_household}
UNION ALL
SELECT 'property', p.person_id, p.property_id::text FROM identity.person AS p
WHERE p.kind = 'customer' AND p.property_id IS NOT NULL {of_property}
UNION
-- each account
SELECT 'company', m.person_id, 'hubspot_company ' || a.company_id
FROM hubspot_contact_to_company_association AS a
    JOIN hubspot_company AS c ON c.id = a.company_id AND NOT c.archived
    JOIN identity.member AS m ON m.source_table = 'hubspot_contact' AND m.source_key = a.contact_id
    JOIN identity.person AS p ON p.person_id = m.person_id AND p.kind = 'customer'
WHERE NOT a.archived {of_company}
-- all accounts
UNION
SELECT 'company', m.person_id, 'pipedesk.companies ' || t.company_id
FROM pipedesk.contacts AS t
    JOIN pipedesk.companies AS c ON c.id = t.company_id AND NOT c.archived
    JOIN identity.member AS m ON m.source_table = 'pipedesk.contacts' AND m.source_key = t.id::text
    JOIN identity.person AS p ON p.person_id = m.person_id AND p.kind = 'customer'
WHERE NOT t.archived {of_pipedesk}

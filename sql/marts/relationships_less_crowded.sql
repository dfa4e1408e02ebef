-- The groups of too many people that may have fifty or fewer by now: no more rows are read than 51 people have of twenty
-- each, because to read all of a company of 100,000 takes 0.7 s in each run.
SELECT g.relation, g.via FROM marts.crowded_group AS g
WHERE g.relation = 'household' AND (
    SELECT count(*) FROM (SELECT FROM identity.person AS p
                          WHERE p.kind = 'customer' AND p.household_id = g.via::uuid LIMIT 51) AS one) <= 50
UNION ALL
SELECT g.relation, g.via FROM marts.crowded_group AS g
WHERE g.relation = 'property' AND (
    SELECT count(*) FROM (SELECT FROM identity.person AS p
                          WHERE p.kind = 'customer' AND p.property_id = g.via::uuid LIMIT 51) AS one) <= 50
UNION ALL
-- each account
SELECT g.relation, g.via FROM marts.crowded_group AS g
WHERE starts_with(g.via, 'hubspot_company ') AND (
    SELECT count(DISTINCT one.person_id)
    FROM (SELECT m.person_id
          FROM hubspot_contact_to_company_association AS a
              JOIN hubspot_company AS c ON c.id = a.company_id AND NOT c.archived
              JOIN identity.member AS m ON m.source_table = 'hubspot_contact' AND m.source_key = a.contact_id
              JOIN identity.person AS p ON p.person_id = m.person_id AND p.kind = 'customer'
          WHERE NOT a.archived AND a.company_id = substr(g.via, strpos(g.via, ' ') + 1) LIMIT 1020) AS one) <= 50
-- all accounts
UNION ALL
SELECT g.relation, g.via FROM marts.crowded_group AS g
WHERE starts_with(g.via, 'pipedesk.companies ') AND (
    SELECT count(DISTINCT one.person_id)
    FROM (SELECT m.person_id
          FROM pipedesk.contacts AS t
              JOIN pipedesk.companies AS c ON c.id = t.company_id AND NOT c.archived
              JOIN identity.member AS m ON m.source_table = 'pipedesk.contacts' AND m.source_key = t.id::text
              JOIN identity.person AS p ON p.person_id = m.person_id AND p.kind = 'customer'
          WHERE NOT t.archived AND t.company_id = substr(g.via, strpos(g.via, ' ') + 1)::uuid LIMIT 1020) AS one) <= 50

-- The same person more than once in one table of one CRM, with what the records after the first have cost.
WITH records AS (
    SELECT m.person_id, m.source_table, m.source_key, r.created_at
    FROM mart_person
        JOIN identity.member AS m USING (person_id)
        JOIN identity.record AS r ON r.record_id = m.record_id
    WHERE NOT r.deleted AND r.kind = 'customer' AND m.source_table IN (
        'hubspot_contact', 'genius_lead', 'genius_prospect', 'genius_contact', 'genius_marketsharp_contact',
        'marketsharp_contact', 'salesrabbit_lead', 'five9_contact', 'leadconduit_lead', 'gsheet_marketing_lead',
        'salespro_customer', 'pipedesk.contacts')
), twice AS (
    SELECT r.*, row_number() OVER (PARTITION BY r.person_id, r.source_table
                                   ORDER BY r.created_at NULLS LAST, length(r.source_key), r.source_key) AS place,
        count(*) OVER (PARTITION BY r.person_id, r.source_table) AS records
    FROM records AS r
), costs AS (
    -- each account
    SELECT t.source_table, t.source_key, c.lead_cost AS cost
    FROM twice AS t JOIN hubspot_contact AS c ON c.id = t.source_key
    WHERE t.source_table = 'hubspot_contact' AND t.place > 1
    -- all accounts
    UNION ALL
    SELECT t.source_table, t.source_key, l.lead_cost
    FROM twice AS t
        JOIN genius_lead AS l ON l.lead_id = CASE WHEN t.source_table = 'genius_lead' THEN t.source_key::bigint END
    WHERE t.place > 1
    UNION ALL
    -- each account
    SELECT t.source_table, t.source_key, sum(coalesce(e.cost, 0) + coalesce(e.purchase_price, 0))
    FROM twice AS t JOIN leadconduit_event AS e ON e.lead_id = t.source_key
    WHERE t.source_table = 'leadconduit_lead' AND t.place > 1 AND NOT e.archived
    GROUP BY t.source_table, t.source_key
    -- all accounts
)
SELECT t.person_id, t.source_table, max(t.records)::integer AS records, max(t.records)::integer - 1 AS surplus,
    array_agg(t.source_key ORDER BY t.place) AS source_keys,
    min(t.created_at) AS first_at, max(t.created_at) AS last_at,
    coalesce(sum(c.cost) FILTER (WHERE t.place > 1 AND abs(c.cost) < 1e9), 0)::numeric(14, 2) AS surplus_cost
FROM twice AS t
    LEFT JOIN costs AS c ON c.source_table = t.source_table AND c.source_key = t.source_key
WHERE t.records > 1
GROUP BY t.person_id, t.source_table

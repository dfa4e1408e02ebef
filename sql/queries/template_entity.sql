-- A company, lead, deal or contact: its name, and whether it was deleted.
SELECT 'pipedesk.companies' AS table_name, name, archived FROM pipedesk.companies
    WHERE %(type)s = 'company' AND id = %(id)s
UNION ALL
SELECT 'pipedesk.leads', coalesce(trade_name, legal_name), archived FROM pipedesk.leads
    WHERE %(type)s = 'lead' AND id = %(id)s
UNION ALL
SELECT 'pipedesk.master_deals', client_name, archived FROM pipedesk.master_deals
    WHERE %(type)s = 'deal' AND id = %(id)s
UNION ALL
SELECT 'pipedesk.contacts', name, archived FROM pipedesk.contacts
    WHERE %(type)s = 'contact' AND id = %(id)s

-- Leads that an older one became part of have their own created_at again, unless it was changed since.
--
-- organization_id, leads (those that became part of them)
UPDATE crm.leads AS o
SET created_at = (f.written #>> '{lent,fields,created_at,was}')::timestamptz
FROM crm.lead_feed AS f
WHERE f.organization_id = %(organization_id)s AND f.lead_id = ANY (%(leads)s::uuid[])
    AND o.organization_id = f.organization_id AND o.id = (f.written #>> '{lent,to}')::uuid AND o.deleted_at IS NULL
    AND o.created_at = (f.written #>> '{lent,fields,created_at,is}')::timestamptz

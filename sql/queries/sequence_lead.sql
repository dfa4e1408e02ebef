-- A lead, held as it is until the transaction ends, unless somebody is writing it; why a step over the channel must not reach it, if so.
--
-- organization, lead, channel
SELECT l.first_name, l.last_name, l.email, l.phone, l.postal_code, l.division, l.source, l.timezone, l.golden_id,
    CASE WHEN l.deleted_at IS NOT NULL THEN 'deleted' WHEN l.status IN ('won', 'lost', 'disqualified') THEN l.status
         ELSE crm.lead_block_reason(l, %(channel)s) END AS blocked
FROM crm.leads AS l WHERE l.organization_id = %(organization)s AND l.id = %(lead)s FOR SHARE SKIP LOCKED

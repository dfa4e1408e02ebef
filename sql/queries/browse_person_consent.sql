-- What a person agreed to or refused, and the do-not-call entries of their numbers and leads, in the visitor's
-- organization, below row-level security. No number and no address is in it.
--
-- tables, keys (of their records), phones, leads
SELECT 'consent' AS what, c.says AS says, c.channels, c.crm AS told_by, c.flag AS reason, c.given_at AS since, c.until,
    c.withdrawn_at AS ended_at
FROM crm.consent_fact AS c
WHERE (c.source_table, c.source_key) IN (SELECT * FROM unnest(%(tables)s::text[], %(keys)s::text[]))
UNION ALL
SELECT 'do not call', 'listed', d.channels, d.detected_by, d.reason, coalesce(d.since, d.created_at), d.expires_at,
    d.ended_at
FROM crm.dnc_list AS d
WHERE d.phone = ANY (%(phones)s::text[]) OR d.lead_id = ANY (%(leads)s::uuid[])
ORDER BY since DESC NULLS LAST LIMIT 100

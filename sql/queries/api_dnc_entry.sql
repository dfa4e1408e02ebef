-- An entry of the do-not-call list.
--
-- id
SELECT d.id, d.phone, d.lead_id, d.reason, d.channels, d.detected_by, d.evidence, d.expires_at, d.created_by,
    d.created_at, d.ended_at
FROM crm.dnc_list AS d WHERE d.id = %(id)s

-- Put the numbers of rows of a file that forbid a channel on the do-not-call list, and a lead without a number by itself,
-- where they are not listed so yet.
--
-- organization_id, rows (JSON: phone, channels, lead_id, evidence; one of phone and lead_id may be null)
INSERT INTO crm.dnc_list (organization_id, phone, reason, channels, detected_by, evidence, lead_id)
SELECT %(organization_id)s, r.phone, 'opt_out', r.channels, 'import', r.evidence, r.lead_id
FROM jsonb_to_recordset(%(rows)s::jsonb) AS r (phone text, channels text[], evidence text, lead_id uuid)
WHERE NOT EXISTS (
        SELECT FROM crm.dnc_list AS d
        WHERE d.organization_id = %(organization_id)s AND d.phone = r.phone AND d.lead_id IS NOT DISTINCT FROM r.lead_id
            AND d.ended_at IS NULL AND d.expires_at IS NULL AND d.channels @> r.channels)
    -- An entry of a lead without a number gets the lead's own.
    AND NOT EXISTS (
        SELECT FROM crm.dnc_list AS d
        WHERE d.organization_id = %(organization_id)s AND d.lead_id = r.lead_id AND r.phone IS NULL
            AND d.ended_at IS NULL AND d.expires_at IS NULL AND d.channels @> r.channels)

-- Put the e-mail addresses of rows of a file that forbid e-mails on the do-not-call list, by their hashes, where they are not
-- listed yet. Runs as crm_definer, which alone may read the key of the hashes.
--
-- organization_id, rows (JSON: email, evidence, lead_id, which may be null)
WITH key AS MATERIALIZED (SELECT crm.dnc_hash_key(%(organization_id)s) AS key
), row_ AS MATERIALIZED (
    SELECT DISTINCT ON (1) crm.email_hash(r.email, key.key) AS hash, r.evidence, r.lead_id
    FROM key, jsonb_to_recordset(%(rows)s::jsonb) AS r (email text, evidence text, lead_id uuid)
)
INSERT INTO crm.dnc_list (organization_id, email_hash, reason, channels, detected_by, evidence, lead_id)
SELECT %(organization_id)s, r.hash, 'opt_out', '{email}', 'import', r.evidence, r.lead_id
FROM row_ AS r
WHERE r.hash IS NOT NULL AND NOT EXISTS (
    SELECT FROM crm.dnc_list AS d
    WHERE d.organization_id = %(organization_id)s AND d.email_hash = r.hash AND 'email' = ANY (d.channels)
        AND d.ended_at IS NULL AND d.expires_at IS NULL)

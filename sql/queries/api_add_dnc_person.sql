-- Has an entry of the do-not-call list that names a lead hold for its person: other leads, numbers and addresses too.
--
-- id
SELECT crm.add_person_to_dnc_list(d.lead_id, d.channels, d.reason, d.evidence, d.expires_at)
FROM crm.dnc_list AS d WHERE d.id = %(id)s AND d.lead_id IS NOT NULL

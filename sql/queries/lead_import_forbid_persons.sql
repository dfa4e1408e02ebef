-- An opt-out that a file brought of leads that were there before holds for the person, as one by a user does. Runs as
-- crm_definer.
--
-- rows (JSON: lead_id, channels, evidence)
SELECT sum(crm.add_person_to_dnc_list(r.lead_id, r.channels, 'opt_out', r.evidence)) AS listed
FROM jsonb_to_recordset(%(rows)s::jsonb) AS r (lead_id uuid, channels text[], evidence text)

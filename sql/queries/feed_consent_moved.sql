-- Deletes the consents of CRMs that feed another organization now: there it is told by what the CRM says. Opt-outs, and
-- consents that were taken back, stay.
--
-- organization: that of CRMs without a row in crm.feed_source
DELETE FROM crm.consent_fact AS f
WHERE f.says = 'consent' AND f.withdrawn_at IS NULL
    AND f.organization_id <> coalesce((SELECT s.organization_id FROM crm.feed_source AS s WHERE s.crm = f.crm),
                                      %(organization)s)

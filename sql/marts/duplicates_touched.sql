-- The people of whom a record changed, or was theirs, and of whom a source says another cost, since a time.
SELECT m.person_id FROM identity.record AS r JOIN identity.member AS m USING (record_id) WHERE r.changed_at > %(since)s
UNION
SELECT d.person_id FROM identity.deletion AS d
WHERE d.table_name = 'identity.member' AND d.deleted_at > %(since)s AND d.person_id IS NOT NULL
UNION
-- each account
SELECT m.person_id
FROM hubspot_contact AS c
    JOIN identity.member AS m ON m.source_table = 'hubspot_contact' AND m.source_key = c.id
WHERE c.sync_updated_at > %(since)s
-- all accounts
UNION
SELECT m.person_id
FROM genius_lead AS l
    JOIN identity.member AS m ON m.source_table = 'genius_lead' AND m.source_key = l.lead_id::text
WHERE l.sync_updated_at > %(since)s
UNION
-- each account
SELECT m.person_id
FROM leadconduit_event AS e
    JOIN identity.member AS m ON m.source_table = 'leadconduit_lead' AND m.source_key = e.lead_id
WHERE e.sync_updated_at > %(since)s
-- all accounts

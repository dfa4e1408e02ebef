-- The people of whom something changed since a time that says with whom they have to do.
SELECT p.person_id FROM identity.person AS p WHERE p.updated_at > %(since)s
UNION
SELECT m.person_id FROM identity.member AS m WHERE m.since > %(since)s
UNION
SELECT d.person_id FROM identity.deletion AS d
WHERE d.table_name IN ('identity.person', 'identity.member') AND d.deleted_at > %(since)s AND d.person_id IS NOT NULL
UNION
SELECT m.person_id
FROM genius_job_financing AS f
    JOIN genius_job AS j ON j.id = f.job_id
    JOIN identity.member AS m ON m.source_table = 'genius_prospect' AND m.source_key = j.prospect_id::text
WHERE f.sync_updated_at > %(since)s
UNION
SELECT m.person_id
FROM genius_job AS j
    JOIN identity.member AS m ON m.source_table = 'genius_prospect' AND m.source_key = j.prospect_id::text
WHERE j.sync_updated_at > %(since)s AND EXISTS (SELECT FROM genius_job_financing AS f WHERE f.job_id = j.id)
UNION
-- Whose a job was, which is another one's now.
SELECT t.person_id
FROM marts.touched_person AS t
WHERE t.mart = 'activity_timeline' AND t.touched_at > %(since)s
    AND EXISTS (SELECT FROM genius_job AS j WHERE j.sync_updated_at > %(since)s)
    AND EXISTS (SELECT FROM marts.relationships AS r
                WHERE r.relation = 'spouse' AND (r.a_id = t.person_id OR r.b_id = t.person_id))
UNION
-- Who may have left a company: the pairs of before tell which.
SELECT m.person_id
FROM pipedesk.contacts AS t
    JOIN identity.member AS m ON m.source_table = 'pipedesk.contacts' AND m.source_key = t.id::text
WHERE t.sync_updated_at > %(since)s

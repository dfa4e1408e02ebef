-- The people that identity changed since the feed's position, and who is known since then to have sent an opt-out. And the
-- records of staff that identity made or gave to somebody else since then, whom leads may name.
INSERT INTO feed_person
    WITH since AS MATERIALIZED (
        SELECT coalesce((SELECT p.read_until FROM crm.feed_position AS p WHERE p.source_table = 'identity.person'),
                        '-infinity') AS at)
    SELECT p.person_id FROM identity.person AS p, since WHERE p.updated_at > since.at
    UNION SELECT m.person_id FROM identity.member AS m, since WHERE m.since > since.at
    UNION SELECT m.person_id FROM identity.record AS r JOIN identity.member AS m USING (record_id), since
        WHERE r.changed_at > since.at
    UNION SELECT a.person_id FROM identity.alias AS a, since WHERE a.created_at > since.at
    UNION SELECT t.person_id FROM crm.consent_fact AS f JOIN identity.touch AS t USING (source_table, source_key), since
        WHERE f.phone IS NOT NULL AND t.updated_at > since.at AND t.certainty = 'certain' AND t.person_id IS NOT NULL;
INSERT INTO feed_followed
    SELECT m.source_table || ' ' || m.source_key
    FROM identity.member AS m JOIN identity.person AS p ON p.person_id = m.person_id AND p.kind = 'staff'
    WHERE m.since > coalesce((SELECT o.read_until FROM crm.feed_position AS o WHERE o.source_table = 'identity.person'),
                             '-infinity')

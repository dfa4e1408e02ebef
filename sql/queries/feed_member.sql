-- The records of the people in feed_person.
ANALYZE feed_person;
INSERT INTO feed_member
    SELECT m.source_table, m.source_key, m.person_id, r.deleted
    FROM feed_person AS p JOIN identity.member AS m USING (person_id) JOIN identity.record AS r USING (record_id);
CREATE INDEX ON feed_member (source_table, source_key);
ANALYZE feed_member

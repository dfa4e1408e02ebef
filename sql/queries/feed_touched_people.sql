-- The people of the records in feed_changed, whose number a text message among them came from, whose lead follows a record in
-- feed_followed, whose lead had a number that was taken from it since the feed's position, and those who share that number,
-- the number of one of them, or of a lead that was deleted since, and who lives with one of these, because two may have
-- bought together; only customers are left. `texts`: the tables of text messages, which are touches; `since`: the position.
INSERT INTO feed_person
    SELECT DISTINCT m.person_id FROM feed_changed AS c
        JOIN identity.member AS m ON m.source_table = c.source_table AND m.source_key = c.source_key
    ON CONFLICT DO NOTHING;
INSERT INTO feed_person
    SELECT DISTINCT t.person_id FROM feed_changed AS c
        JOIN identity.touch AS t ON t.source_table = c.source_table AND t.source_key = c.source_key
    WHERE c.source_table = ANY (%(texts)s::text[]) AND t.certainty = 'certain' AND t.person_id IS NOT NULL
    ON CONFLICT DO NOTHING;
ANALYZE feed_followed;
INSERT INTO feed_person
    SELECT DISTINCT l.golden_id
    FROM (SELECT DISTINCT record FROM feed_followed) AS r
        JOIN crm.lead_feed AS f ON f.records @> ARRAY[r.record]
        JOIN crm.leads AS l ON l.organization_id = f.organization_id AND l.id = f.lead_id
    WHERE l.golden_id IS NOT NULL AND l.deleted_at IS NULL
    ON CONFLICT DO NOTHING;
-- By whoever: a user who corrects a number tells of it here alone.
CREATE TEMP TABLE feed_given_up ON COMMIT DROP AS
    SELECT DISTINCT l.organization_id, l.golden_id AS person_id, a.old_value AS phone
    FROM crm.leads AS l
        JOIN crm.lead_audit_log AS a ON a.organization_id = l.organization_id AND a.lead_id = l.id
    WHERE l.updated_at > %(since)s AND l.deleted_at IS NULL AND a.created_at > %(since)s AND a.field_name = 'phone'
        AND a.old_value IS NOT NULL;
INSERT INTO feed_person
    SELECT DISTINCT u.person_id FROM feed_given_up AS u WHERE u.person_id IS NOT NULL
    ON CONFLICT DO NOTHING;
ANALYZE feed_person;
-- In a table of its own, or the planner expects many numbers and reads all leads that share one.
CREATE TEMP TABLE feed_number ON COMMIT DROP AS
    SELECT l.organization_id, l.phone
    FROM feed_person AS p JOIN crm.leads AS l ON l.golden_id = p.person_id AND l.deleted_at IS NULL
    WHERE l.phone IS NOT NULL
    UNION
    SELECT l.organization_id, l.phone
    FROM crm.leads AS l
    WHERE l.phone IS NOT NULL AND l.deleted_at > %(since)s
    UNION
    SELECT u.organization_id, u.phone FROM feed_given_up AS u;
ANALYZE feed_number;
INSERT INTO feed_person
    SELECT DISTINCT o.golden_id
    FROM feed_number AS n
        JOIN crm.leads AS o ON o.organization_id = n.organization_id AND o.source_metadata ? 'shared_phones'
            AND o.source_metadata -> 'shared_phones' ? n.phone AND o.deleted_at IS NULL
    WHERE o.golden_id IS NOT NULL
    ON CONFLICT DO NOTHING;
INSERT INTO feed_person
    SELECT DISTINCT o.person_id
    FROM feed_person AS f JOIN identity.person AS p USING (person_id)
        JOIN identity.person AS o ON o.household_id = p.household_id
    ON CONFLICT DO NOTHING;
DELETE FROM feed_person AS f WHERE NOT EXISTS (
    SELECT FROM identity.person AS p WHERE p.person_id = f.person_id AND p.kind = 'customer')

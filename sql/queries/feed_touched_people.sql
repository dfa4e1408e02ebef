-- The people of the records in feed_changed, whose number a text message among them came from, and those who share the
-- number of one of them; only customers are left. `texts`: the tables of text messages, which are touches.
INSERT INTO feed_person
    SELECT DISTINCT m.person_id FROM feed_changed AS c
        JOIN identity.member AS m ON m.source_table = c.source_table AND m.source_key = c.source_key
    ON CONFLICT DO NOTHING;
INSERT INTO feed_person
    SELECT DISTINCT t.person_id FROM feed_changed AS c
        JOIN identity.touch AS t ON t.source_table = c.source_table AND t.source_key = c.source_key
    WHERE c.source_table = ANY (%(texts)s::text[]) AND t.certainty = 'certain' AND t.person_id IS NOT NULL
    ON CONFLICT DO NOTHING;
INSERT INTO feed_person
    SELECT DISTINCT o.golden_id
    FROM feed_person AS p
        JOIN crm.leads AS l ON l.golden_id = p.person_id AND l.deleted_at IS NULL
        JOIN crm.leads AS o ON o.organization_id = l.organization_id AND o.source_metadata ? 'shared_phones'
            AND o.source_metadata -> 'shared_phones' ? l.phone AND o.deleted_at IS NULL
    WHERE o.golden_id IS NOT NULL
    ON CONFLICT DO NOTHING;
DELETE FROM feed_person AS f WHERE NOT EXISTS (
    SELECT FROM identity.person AS p WHERE p.person_id = f.person_id AND p.kind = 'customer')

-- feed_merge: leads of one person. The most advanced stays, and the others become part of it.
CREATE TEMP TABLE feed_merge ON COMMIT DROP AS
    SELECT m.lead_id, m.person_id, first_value(m.lead_id) OVER w AS stays, row_number() OVER w AS place
    FROM feed_match AS m WHERE m.is_live
    WINDOW w AS (PARTITION BY m.person_id ORDER BY m.rank DESC, m.is_own DESC, m.created_at, m.lead_id);
DELETE FROM feed_merge AS f WHERE NOT EXISTS (SELECT FROM feed_merge AS o WHERE o.stays = f.stays AND o.place > 1);
CREATE INDEX ON feed_merge (stays);
ANALYZE feed_merge

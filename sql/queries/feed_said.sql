-- feed_said: what the sources say of those who are leads, with the status that each word means. is_off: it tells of a sale
-- that was called off (feed_called_off). sale: which one, of records that may be of a sale that another one tells of, too.
-- feed_home: households, or people without one, of whom a sale was called off, or whom two accounts of one CRM sold something.
CREATE TEMP TABLE feed_said ON COMMIT DROP AS
    SELECT s.*, r.status, r.rank, r.is_closed, r.reopens, false AS is_off, NULL::text AS sale
    FROM feed_signal AS s
        LEFT JOIN crm.status_mapping AS m ON m.source = s.word_source AND m.source_status = s.word
        LEFT JOIN crm.status_rank AS r ON s.word IS NOT NULL AND r.status = coalesce(m.status, s.fallback)
    WHERE EXISTS (SELECT FROM feed_signal AS l WHERE l.organization_id = s.organization_id
                  AND l.person_id = s.person_id AND l.makes_lead);
ANALYZE feed_said;
CREATE TEMP TABLE feed_home ON COMMIT DROP AS
    SELECT DISTINCT s.organization_id, coalesce(p.household_id, p.person_id) AS home
    FROM feed_said AS s JOIN identity.person AS p USING (person_id)
    WHERE s.calls_off AND s.status = 'lost'
    UNION
    SELECT s.organization_id, coalesce(p.household_id, p.person_id)
    FROM feed_said AS s JOIN identity.person AS p USING (person_id)
    WHERE s.status = 'won' AND s.value_usd IS NOT NULL AND s.source_table ~ '[.]' AND EXISTS (
        SELECT FROM feed_said AS o
        WHERE o.organization_id = s.organization_id AND o.person_id = s.person_id AND o.value_rank = s.value_rank
            AND o.status = 'won' AND o.source_table <> s.source_table);
ANALYZE feed_home

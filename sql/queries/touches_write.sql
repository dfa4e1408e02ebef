-- Write the touches of touch_made that are new or differ. In order, so that those of a person are on few pages: a delta
-- asks for all of them.
INSERT INTO identity.touch AS t
    (record_id, source_table, source_key, person_id, household_id, certainty, rule, reason, touched_at)
SELECT m.record_id, m.source_table, m.source_key, m.person_id, m.household_id, m.certainty, m.rule, m.reason, m.touched_at
FROM touch_made AS m
    LEFT JOIN identity.touch AS o ON o.record_id = m.record_id
WHERE o.record_id IS NULL OR (o.person_id, o.household_id, o.certainty, o.rule, o.reason, o.touched_at)
    IS DISTINCT FROM (m.person_id, m.household_id, m.certainty, m.rule, m.reason, m.touched_at)
ORDER BY m.person_id
ON CONFLICT (record_id) DO UPDATE SET
    person_id = excluded.person_id, household_id = excluded.household_id, certainty = excluded.certainty,
    rule = excluded.rule, reason = excluded.reason, touched_at = excluded.touched_at, updated_at = now()

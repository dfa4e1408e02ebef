-- Keep of whom the activities in mart_made are, and of whom they were.
CREATE INDEX ON pg_temp.mart_made (source_table, source_key);
INSERT INTO marts.touched_person AS p (mart, person_id, touched_at)
    SELECT 'activity_timeline', found.person_id, now()
    FROM (
        SELECT m.person_id FROM mart_made AS m
        UNION
        SELECT t.person_id FROM mart_row AS r JOIN marts.activity_timeline AS t USING (source_table, source_key)
        UNION
        SELECT t.person_id FROM marts.activity_timeline AS t WHERE %(full)s
    ) AS found
    WHERE found.person_id IS NOT NULL
    ON CONFLICT (mart, person_id) DO UPDATE SET touched_at = now()

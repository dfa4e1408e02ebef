-- Keep of whom the activities in mart_made are, and of whom they were; and of which months. What names nobody known is also
-- of the person whose visit it names, as marts.sale has it.
CREATE INDEX ON pg_temp.mart_made (source_table, source_key);
INSERT INTO marts.touched_person AS p (mart, person_id, touched_at)
    SELECT 'activity_timeline', found.person_id, now()
    FROM (
        SELECT m.person_id FROM mart_made AS m
        UNION
        SELECT t.person_id FROM mart_row AS r JOIN marts.activity_timeline AS t USING (source_table, source_key)
        UNION
        SELECT t.person_id FROM marts.activity_timeline AS t WHERE %(full)s
        UNION
        SELECT v.person_id
        FROM (SELECT m.links FROM mart_made AS m WHERE m.person_id IS NULL
              UNION ALL
              SELECT t.links FROM mart_row AS r JOIN marts.activity_timeline AS t USING (source_table, source_key)
              WHERE t.person_id IS NULL) AS g,
            unnest(g.links) AS l (name)
            JOIN marts.activity_timeline AS v ON v.source_table = split_part(l.name, ' ', 1)
                AND v.source_key = substr(l.name, strpos(l.name, ' ') + 1) AND v.kind = 'appointment'
    ) AS found
    WHERE found.person_id IS NOT NULL
    ON CONFLICT (mart, person_id) DO UPDATE SET touched_at = now();
INSERT INTO marts.touched_month AS p (table_name, month, touched_at)
    SELECT found.source_table, found.month, now()
    FROM (
        SELECT m.source_table, date_trunc('month', m.occurred_day)::date AS month
        FROM mart_made AS m
        WHERE %(full)s OR EXISTS (SELECT FROM mart_row AS r WHERE r.is_told
                                  AND (r.source_table, r.source_key) = (m.source_table, m.source_key))
        UNION
        SELECT t.source_table, date_trunc('month', t.occurred_day)::date
        FROM mart_row AS r JOIN marts.activity_timeline AS t USING (source_table, source_key) WHERE r.is_told
        UNION
        SELECT t.source_table, date_trunc('month', t.occurred_day)::date FROM marts.activity_timeline AS t WHERE %(full)s
    ) AS found
    ON CONFLICT (table_name, month) DO UPDATE SET touched_at = now()

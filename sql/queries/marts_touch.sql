-- Keep of whom the activities in mart_made are, and of whom they were; and of which months and hours of
-- the day. What names nobody known is also
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
INSERT INTO marts.touched_hour AS p (table_name, month, hour, touched_at)
    SELECT found.source_table, date_trunc('month', found.here)::date, extract(hour FROM found.here)::smallint, now()
    FROM (
        SELECT DISTINCT t.source_table, date_trunc('hour', t.occurred_at AT TIME ZONE %(zone)s) AS here
        FROM (
            SELECT m.source_table, m.source_key, m.occurred_at FROM mart_made AS m
            UNION ALL
            SELECT a.source_table, a.source_key, a.occurred_at
            FROM mart_row AS r JOIN marts.activity_timeline AS a USING (source_table, source_key)
        ) AS t JOIN mart_row AS r USING (source_table, source_key)
        WHERE r.is_told AND NOT %(full)s
        UNION
        SELECT a.source_table, a.month + interval '1 hour' * h.hour
        FROM (
            SELECT m.source_table, date_trunc('month', m.occurred_day::timestamp) AS month FROM mart_made AS m WHERE %(full)s
            UNION
            SELECT t.source_table, date_trunc('month', t.occurred_day::timestamp) FROM marts.activity_timeline AS t WHERE %(full)s
        ) AS a, generate_series(0, 23) AS h (hour)
    ) AS found
    GROUP BY 1, 2, 3
    ON CONFLICT (table_name, month, hour) DO UPDATE SET touched_at = now()

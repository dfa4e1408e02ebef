-- Write the rows of mart_made that are new or differ, delete what it did not make, and count. Everything in braces is
-- composed; {person} is the person of a row, or null where the table has none; {no_more} tells the rows to delete. Who is
-- written of is kept as touched. {order} puts the rows of a person on few pages, because a delta asks for all of them.
WITH deleted AS (
    DELETE FROM {table} AS o
    WHERE {no_more}
    RETURNING {person} AS person_id, {hour}, {content} AS content
), written AS (
    INSERT INTO {table} AS o ({names})
        SELECT {new_names} FROM mart_made AS n LEFT JOIN {table} AS o ON {old_is_new}
        WHERE {old_key} IS NULL OR {differs}
        ORDER BY {order}
    ON CONFLICT ({keys}) DO UPDATE SET {set}
    RETURNING xmax = 0 AS is_new, {person} AS person_id, {hour}, {content} AS content
), touched AS (
    INSERT INTO marts.touched_person AS p (mart, person_id, touched_at)
        SELECT {mart}, w.person_id, now()
        FROM (SELECT person_id FROM deleted UNION SELECT person_id FROM written) AS w WHERE w.person_id IS NOT NULL
    ON CONFLICT (mart, person_id) DO UPDATE SET touched_at = now()
), touched_hours AS (
    INSERT INTO marts.touched_hour AS p (table_name, month, hour, touched_at)
        SELECT 'marts.' || {mart}, w.month, w.hour, now()
        FROM (SELECT month, hour FROM deleted UNION SELECT month, hour FROM written {hours_before}) AS w
        WHERE w.hour IS NOT NULL
    ON CONFLICT (table_name, month, hour) DO UPDATE SET touched_at = now()
), kept AS (
    -- The rows as they were and as they are, for each mart that sums them.
    INSERT INTO marts.changed_row (reader, weight, content)
        SELECT r.reader, w.weight, w.content
        FROM unnest({readers}::text[]) AS r (reader)
            CROSS JOIN (
                SELECT -1 AS weight, d.content FROM deleted AS d
                UNION ALL SELECT 1, i.content FROM written AS i
                UNION ALL SELECT -1, to_jsonb(o) FROM mart_made AS n JOIN {table} AS o ON {old_is_new} WHERE {differs}
            ) AS w
        WHERE {is_kept}
)
SELECT count(*) FILTER (WHERE is_new) AS inserted, count(*) FILTER (WHERE NOT is_new) AS updated,
    (SELECT count(*) FROM deleted) AS deleted
FROM written

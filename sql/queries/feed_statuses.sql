-- Which status words the sources have, and what they were loaded as. Counts are those of a full run.
WITH seen AS (
    SELECT s.word_source AS source, s.word AS source_status, count(*) AS records,
        min(coalesce(m.status, s.fallback)) AS loaded_as
    FROM feed_signal AS s
        LEFT JOIN crm.status_mapping AS m ON m.source = s.word_source AND m.source_status = s.word
    WHERE s.word IS NOT NULL AND s.word_source IS NOT NULL
    GROUP BY s.word_source, s.word
), ended AS (
    DELETE FROM crm.source_status AS k
    WHERE %(full)s AND NOT EXISTS (SELECT FROM seen WHERE (seen.source, seen.source_status) = (k.source, k.source_status))
)
INSERT INTO crm.source_status AS k (source, source_status, loaded_as, records)
    SELECT source, source_status, loaded_as, records FROM seen
    ON CONFLICT (source, source_status) DO UPDATE
        SET loaded_as = excluded.loaded_as, last_seen_at = now(),
            records = CASE WHEN %(full)s THEN excluded.records ELSE greatest(k.records, excluded.records) END

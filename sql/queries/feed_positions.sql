-- Keep how far each table was read, and the fingerprint of the mappings. Without read_until the tables will be read from
-- where they were.
INSERT INTO crm.feed_position AS p (source_table, read_until, fingerprint)
    SELECT t, coalesce(%(read_until)s::timestamptz, '-infinity'), CASE WHEN t = 'crm.status_mapping' THEN %(fingerprint)s END
    FROM unnest(%(tables)s::text[]) AS t
    ON CONFLICT (source_table) DO UPDATE
        SET read_until = coalesce(%(read_until)s::timestamptz, p.read_until), fingerprint = excluded.fingerprint, read_at = now()

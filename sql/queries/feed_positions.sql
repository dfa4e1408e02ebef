-- Keep how far each table was read, and the fingerprint of the mappings.
INSERT INTO crm.feed_position AS p (source_table, read_until, fingerprint)
    SELECT t, %(read_until)s, CASE WHEN t = 'crm.status_mapping' THEN %(fingerprint)s END
    FROM unnest(%(tables)s::text[]) AS t
    ON CONFLICT (source_table) DO UPDATE
        SET read_until = excluded.read_until, fingerprint = excluded.fingerprint, read_at = now()

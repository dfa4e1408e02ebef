-- The leads that identity gave to somebody else since a time, or to nobody, by the systems of their tables.
INSERT INTO mart_record
    SELECT l.system, m.source_table, m.source_key
    FROM identity.member AS m
        JOIN unnest(%(systems)s::text[], %(tables)s::text[]) AS l (system, source_table) USING (source_table)
    WHERE m.since > %(since)s
    UNION
    SELECT l.system, d.source_table, d.source_key
    FROM identity.deletion AS d
        JOIN unnest(%(systems)s::text[], %(tables)s::text[]) AS l (system, source_table) USING (source_table)
    WHERE d.table_name = 'identity.member' AND d.deleted_at > %(since)s AND d.source_key IS NOT NULL
    ON CONFLICT DO NOTHING

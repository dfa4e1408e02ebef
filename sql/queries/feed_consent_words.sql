-- Opt-outs by a status word that the mapping gives channels for.
INSERT INTO feed_consent
    SELECT s.organization_id, s.source_table, s.source_key, s.word_source, s.crm, 'opt_out', m.opt_out, NULL, s.word,
        s.said_at, NULL, true, coalesce(s.edited_at, s.said_at)
    FROM feed_signal AS s JOIN crm.status_mapping AS m ON m.source = s.word_source AND m.source_status = s.word
    WHERE m.opt_out IS NOT NULL

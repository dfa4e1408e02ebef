-- Opt-outs by a status word that the mapping gives channels for. Another word of the record withdraws what such a word said,
-- which lifts nothing: but when that one comes again, it is said anew.
INSERT INTO feed_consent
    SELECT s.organization_id, s.source_table, s.source_key, s.word_source, s.crm, 'opt_out',
        coalesce(m.opt_out, k.channels), NULL, s.word, s.said_at, NULL, m.opt_out IS NOT NULL,
        coalesce(s.edited_at, s.said_at)
    FROM feed_signal AS s
        LEFT JOIN crm.status_mapping AS m ON m.source = s.word_source AND m.source_status = s.word
            AND m.opt_out IS NOT NULL
        LEFT JOIN crm.consent_fact AS k ON k.organization_id = s.organization_id AND k.source_table = s.source_table
            AND k.source_key = s.source_key AND k.flag = s.word_source
    WHERE s.word IS NOT NULL AND (m.opt_out IS NOT NULL OR k.proof <> s.word AND k.withdrawn_at IS NULL)

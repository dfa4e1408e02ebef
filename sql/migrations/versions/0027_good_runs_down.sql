-- Undo 0027.
CREATE TABLE access.oidc_attempt (
    state_hash bytea       PRIMARY KEY CHECK (octet_length(state_hash) = 32),
    nonce      text        NOT NULL,
    verifier   text        NOT NULL,
    next_path  text        NOT NULL,
    expires_at timestamptz NOT NULL
);
ALTER TABLE orchestration.heartbeat RENAME COLUMN last_alive_at TO beat_at;
ALTER TABLE orchestration.alert_event RENAME COLUMN notified_at TO told_at;
ALTER TABLE orchestration.alert_event RENAME COLUMN cleared_at TO gone_since;
DELETE FROM orchestration.retention_policy WHERE kind IN
    ('access_clear_views', 'access_idempotency_keys', 'access_sessions', 'access_sign_in_failures', 'alert_silences',
     'push_channels');
CREATE OR REPLACE VIEW marts.data_quality AS
    WITH word (source, table_name) AS (VALUES
        ('arrivy.status', 'arrivy_booking'),
        ('arrivy.status', 'arrivy_task'),
        ('callrail.lead_status', 'callrail_call'),
        ('callrail.lead_status', 'callrail_form_submission'),
        ('callrail.lead_status', 'callrail_text_message'),
        ('five9.disposition', 'five9_contact'),
        ('five9.status', 'five9_contact'),
        ('genius.appointment', 'genius_appointment'),
        ('genius.job', 'genius_job'),
        ('genius.lead', 'genius_lead'),
        ('genius.marketsharp_contact', 'genius_marketsharp_contact'),
        ('gsheet.appointment', 'gsheet_marketing_lead'),
        ('gsheet.disposition', 'gsheet_marketing_lead'),
        ('hubspot.appointment', 'hubspot_appointment'),
        ('hubspot.dealstage', 'hubspot_deal'),
        ('hubspot.hs_lead_status', 'hubspot_contact'),
        ('hubspot.lifecyclestage', 'hubspot_contact'),
        ('leadconduit.outcome', 'leadconduit_lead'),
        ('marketsharp.appointment', 'marketsharp_appointment'),
        ('marketsharp.inquiry', 'marketsharp_data'),
        ('marketsharp.inquiry', 'marketsharp_inquiry'),
        ('marketsharp.job', 'marketsharp_job'),
        ('pipedesk.status', 'pipedesk.leads'),
        ('salespro.estimate', 'salespro_estimate'),
        ('salespro.result', 'salespro_lead_result'),
        ('salesrabbit.status', 'salesrabbit_lead')
    )
    SELECT t.table_name, t.crm_source, t.sync_type, good.total_rows, good.total_rows - good.living_rows AS archived_rows,
        coalesce(whole.nulls, '{}') AS key_nulls, whole.read_at AS key_nulls_at,
        letters.pending AS dead_letters, letters.waived AS dead_letters_waived, coalesce(words.unmapped, 0) AS unmapped,
        good.ended_at AS last_good_run_at,
        coalesce(good.ended_at < now() - t.stale_after, true) AS stale
    FROM orchestration.source_table AS t
        LEFT JOIN LATERAL (
            SELECT (h.performance_metrics ->> 'total_rows')::bigint AS total_rows,
                (h.performance_metrics ->> 'living_rows')::bigint AS living_rows, h.end_time AS ended_at
            FROM orchestration.sync_history AS h
            WHERE h.crm_source = t.crm_source AND h.sync_type = t.sync_type AND h.status IN ('success', 'partial')
                AND NOT coalesce((h.configuration ->> 'dry_run')::boolean, false)
                AND coalesce(h.configuration ->> 'mode', '') NOT IN ('refused', 'replay', 'webhook')
                AND h.performance_metrics ? 'total_rows'
            ORDER BY h.id DESC LIMIT 1) AS good ON true
        LEFT JOIN LATERAL (
            SELECT h.end_time AS read_at, (
                SELECT jsonb_object_agg(k, (h.performance_metrics ->> 'total_records')::bigint
                                           - coalesce((h.performance_metrics -> 'columns_filled' ->> k)::bigint, 0))
                FROM unnest(t.key_columns) AS k) AS nulls
            FROM orchestration.sync_history AS h
            WHERE h.crm_source = t.crm_source AND h.sync_type = t.sync_type AND h.status IN ('success', 'partial')
                AND NOT coalesce((h.configuration ->> 'dry_run')::boolean, false)
                AND h.configuration ->> 'mode' = 'full' AND h.performance_metrics ? 'columns_filled'
            ORDER BY h.id DESC LIMIT 1) AS whole ON true
        CROSS JOIN LATERAL (
            SELECT count(*) FILTER (WHERE d.status = 'pending') AS pending,
                count(*) FILTER (WHERE d.status = 'waived') AS waived
            FROM orchestration.dead_letter AS d
            WHERE d.crm_source = t.crm_source AND d.sync_type = t.sync_type AND d.status IN ('pending', 'waived')
        ) AS letters
        CROSS JOIN LATERAL (
            SELECT sum(u.records)::bigint AS unmapped
            FROM marts.unmapped_status AS u JOIN word AS w ON w.source = u.source
            WHERE w.table_name = t.table_name) AS words;
COMMENT ON COLUMN marts.data_quality.last_good_run_at IS 'When the last run ended that was a success or partial.';
DROP VIEW orchestration.good_run;
DROP VIEW orchestration.loaded_run;
CREATE OR REPLACE FUNCTION pipedesk.show_sync_tokens() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    kept jsonb := NEW.configuration -> 'state';
BEGIN
    UPDATE pipedesk.calendar_sync_states SET sync_token = kept ->> calendar_id, updated_at = now()
        WHERE sync_token IS DISTINCT FROM kept ->> calendar_id;
    INSERT INTO pipedesk.calendar_sync_states (calendar_id, sync_token, active)
        SELECT of_now.key, of_now.value, false FROM jsonb_each_text(kept) AS of_now
        WHERE NOT EXISTS (SELECT FROM pipedesk.calendar_sync_states AS s WHERE s.calendar_id = of_now.key);
    RETURN NULL;
END
$$;

-- What freshness, alerts, metrics, reports and checks go by. `(…) IS TRUE` keeps the planner from an index of the status,
-- however small statistics say the table is: the entity's own index finds its last run at once.
CREATE VIEW orchestration.loaded_run AS
    SELECT h.id, h.crm_source, h.sync_type, h.configuration ->> 'mode' AS mode, h.status, h.start_time, h.end_time,
        h.records_processed, h.records_created, h.records_updated, h.records_failed, h.configuration,
        h.performance_metrics, h.run_id
    FROM orchestration.sync_history AS h
    WHERE (h.status IN ('success', 'partial')) IS TRUE
        AND h.configuration ->> 'mode' IN ('delta', 'full', 'backfill')
        AND coalesce(h.configuration ->> 'dry_run', 'false') = 'false'
        AND coalesce(h.configuration ->> 'max_records', '0') = '0'
        AND h.configuration ->> 'narrowed' IS DISTINCT FROM 'true';
COMMENT ON VIEW orchestration.loaded_run IS
    'Runs that loaded all that they asked the vendor for: success or partial, neither dry, limited nor narrowed; no replays, no runs of webhooks.';
COMMENT ON COLUMN orchestration.loaded_run.mode IS 'delta, full, or backfill.';
CREATE VIEW orchestration.good_run AS SELECT * FROM orchestration.loaded_run WHERE mode IN ('delta', 'full');
COMMENT ON VIEW orchestration.good_run IS
    'Runs after which an entity is fresh as of start_time: loaded runs that asked for all news. A backfill asks for its days only.';
COMMENT ON COLUMN orchestration.good_run.mode IS 'delta or full.';

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
        good.start_time AS last_good_run_at,
        coalesce(good.start_time < now() - t.stale_after, true) AS stale
    FROM orchestration.source_table AS t
        LEFT JOIN LATERAL (
            SELECT (g.performance_metrics ->> 'total_rows')::bigint AS total_rows,
                (g.performance_metrics ->> 'living_rows')::bigint AS living_rows, g.start_time
            FROM orchestration.good_run AS g
            WHERE g.crm_source = t.crm_source AND g.sync_type = t.sync_type ORDER BY g.id DESC LIMIT 1) AS good ON true
        LEFT JOIN LATERAL (
            SELECT g.end_time AS read_at, (
                SELECT jsonb_object_agg(k, (g.performance_metrics ->> 'total_records')::bigint
                                           - coalesce((g.performance_metrics -> 'columns_filled' ->> k)::bigint, 0))
                FROM unnest(t.key_columns) AS k) AS nulls
            FROM orchestration.good_run AS g
            WHERE g.crm_source = t.crm_source AND g.sync_type = t.sync_type AND g.mode = 'full'
                AND g.performance_metrics ? 'columns_filled'
            ORDER BY g.id DESC LIMIT 1) AS whole ON true
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
COMMENT ON COLUMN marts.data_quality.last_good_run_at IS
    'When the last good run began (orchestration.good_run): the rows are as the vendor had them then.';

ALTER TABLE orchestration.alert_event RENAME COLUMN gone_since TO cleared_at;
ALTER TABLE orchestration.alert_event RENAME COLUMN told_at TO notified_at;
COMMENT ON COLUMN orchestration.alert_event.cleared_at IS
    'Since when its fault is not met any more, while that is too short to call it resolved.';
COMMENT ON COLUMN orchestration.alert_event.notified_at IS
    'When a message of it was last written; null while it is silenced.';
ALTER TABLE orchestration.heartbeat RENAME COLUMN beat_at TO last_alive_at;

UPDATE orchestration.retention_policy SET about = 'Messages of alerts that were sent or dropped.'
WHERE kind = 'alert_deliveries';

-- What a sign-in by OIDC is known by stands in the browser's cookie.
DROP TABLE access.oidc_attempt;

-- As before, but for channels that have ended: their rows say when, and tell one that was stopped from one that lapsed.
CREATE OR REPLACE FUNCTION pipedesk.show_sync_tokens() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    kept jsonb := NEW.configuration -> 'state';
BEGIN
    UPDATE pipedesk.calendar_sync_states SET sync_token = kept ->> calendar_id, updated_at = now()
        WHERE sync_token IS DISTINCT FROM kept ->> calendar_id AND (active OR channel_id IS NULL);
    INSERT INTO pipedesk.calendar_sync_states (calendar_id, sync_token, active)
        SELECT of_now.key, of_now.value, false FROM jsonb_each_text(kept) AS of_now
        WHERE NOT EXISTS (SELECT FROM pipedesk.calendar_sync_states AS s WHERE s.calendar_id = of_now.key);
    RETURN NULL;
END
$$;

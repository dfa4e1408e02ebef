-- Deletes what is past its age at %(now)s: messages that were sent or dropped, silences that ended, incidents that were
-- resolved. An age of centuries counts as three of them, or there would be no such time.
WITH age AS (
    SELECT kind, %(now)s - make_interval(days => least(keep_days, 100000)) AS until
    FROM orchestration.retention_policy WHERE keep_days IS NOT NULL
), deliveries AS (
    DELETE FROM orchestration.alert_delivery USING age WHERE age.kind = 'alert_deliveries' AND ended_at < until
), silences AS (
    DELETE FROM orchestration.alert_silence USING age WHERE age.kind = 'alert_deliveries' AND ends_at < until
)
DELETE FROM orchestration.alert_event USING age WHERE age.kind = 'alert_events' AND resolved_at < until

-- How long each kind of data is kept; a row that is there keeps its age.
INSERT INTO orchestration.retention_policy (kind, about, keep_days) VALUES
    ('sync_history', 'Runs, which move into sync_history_archive. The newest of each kind of an entity''s runs stays.', 90),
    ('sync_history_archive', 'Runs that were moved there.', 730),
    ('sync_history_daily', 'Sums by day of the runs that are no longer in sync_history.', 3650),
    ('dead_letters_closed', 'Records that could not be loaded, and were loaded or superseded since.', 90),
    ('dead_letters_waived', 'Records that somebody gave up, and that no run has met since.', 365),
    ('webhook_inbox_closed', 'Deliveries of webhooks that were worked off or ignored.', 7),
    ('webhook_inbox_failed', 'Deliveries of webhooks that were given up.', 30),
    ('webhook_outcomes', 'How many deliveries of webhooks ended how, by the hour.', 400),
    ('drive_change_logs', 'Notifications of Google Drive.', 180),
    ('alert_deliveries', 'Messages of alerts that were sent or dropped.', 30),
    ('alert_silences', 'Silences of alerts that ended.', 30),
    ('alert_events', 'Incidents that were resolved, with their messages.', 400),
    ('change_log', 'What changed in rows of the entities that are declared with change_log.', 365),
    ('push_channels', 'Push channels of Google that were stopped or have ended.', 90),
    ('access_sessions', 'Sessions of users that nobody used since; each ends earlier.', 1),
    ('access_sign_in_failures', 'Sign-ins that failed.', 1),
    ('access_idempotency_keys', 'Keys of writes through the API; a repetition after that is a new write.', 1),
    ('access_clear_views', 'Who saw personal data in clear.', 730),
    ('tombstones', 'Rows of sources whose record the vendor deleted, and that no person is made of.', 1095),
    ('dagster_runs', 'Runs of Dagster that ended well or were cancelled, with their logs.', 7),
    ('dagster_failed_runs', 'Runs of Dagster that failed, with their logs.', 30)
ON CONFLICT (kind) DO NOTHING;

-- Keep deliveries, each once, log the notifications of Google Drive, and notify who waits for deliveries. Returns the
-- keys that are to be worked off, and of each whether it waited already. PostgreSQL sends equal notifications of a
-- transaction as one.
--
-- Equal bytes may tell of another change: a call is a good lead, none, and one again, and CallRail's id is that of the
-- call. So what was worked off before is due once more, at the price of a read where it was another try; and what failed.
-- What waits gets the time of the second one, and keeps the rest: a read that began before then does not count for it.
-- The order of the keys is that in which webhook_close locks.
WITH given AS (
    SELECT DISTINCT ON (dedupe_key) * FROM unnest(%(sources)s::text[], %(keys)s::text[], %(ids)s::text[], %(headers)s::text[], %(bodies)s::text[],
        %(statuses)s::text[], %(errors)s::text[]) AS g (source, dedupe_key, event_ids, headers, body, status, error)
), waiting AS (
    SELECT i.dedupe_key FROM orchestration.webhook_inbox AS i JOIN given USING (dedupe_key) WHERE i.status = 'pending'
), kept AS (
    INSERT INTO orchestration.webhook_inbox
        (source, dedupe_key, event_ids, headers, body, signature_valid, status, processed_at, error_message)
    SELECT source, dedupe_key, ARRAY(SELECT jsonb_array_elements_text(event_ids::jsonb)), headers::jsonb, body, true,
        status, CASE WHEN status <> 'pending' THEN now() END, nullif(error, '')
    FROM given ORDER BY dedupe_key
    ON CONFLICT (dedupe_key) DO UPDATE
        SET status = 'pending', received_at = clock_timestamp(), processed_at = NULL, body = excluded.body,
            headers = excluded.headers,
            not_before = CASE webhook_inbox.status WHEN 'pending' THEN webhook_inbox.not_before
                ELSE clock_timestamp() END,
            attempts = CASE webhook_inbox.status WHEN 'pending' THEN webhook_inbox.attempts ELSE 0 END,
            error_message = CASE webhook_inbox.status WHEN 'pending' THEN webhook_inbox.error_message END
        WHERE excluded.status = 'pending' AND webhook_inbox.status IN ('pending', 'done', 'failed')
    RETURNING source, dedupe_key, headers, xmax = 0 AS is_new
), logged AS (
    INSERT INTO pipedesk.drive_change_logs
        (channel_id, resource_id, resource_state, changed_resource_id, event_type, raw_headers)
    SELECT headers ->> 'x-goog-channel-id', headers ->> 'x-goog-resource-id', headers ->> 'x-goog-resource-state',
        substring(headers ->> 'x-goog-resource-uri' FROM '/files/([^/?]+)'),
        coalesce(headers ->> 'x-goog-changed', headers ->> 'x-goog-resource-state'), headers
    FROM kept WHERE is_new AND source = 'google' AND headers ->> 'x-goog-resource-uri' LIKE '%%/drive/%%'
)
SELECT dedupe_key, EXISTS (SELECT FROM waiting AS w WHERE w.dedupe_key = kept.dedupe_key), pg_notify('webhook_inbox', '')
FROM kept

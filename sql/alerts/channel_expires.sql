-- Push channels of Google that end within `threshold` hours or have ended, and have no successor. One that was stopped
-- before its end was stopped on purpose; those that ended by themselves are forgotten by `warehouse webhooks remove`.
-- One that was tried in vain, which has no end, is no successor.
WITH channel AS (
    SELECT 'gcalendar' AS crm, calendar_id AS watched, expiration AS ends_at, active, updated_at
    FROM pipedesk.calendar_sync_states WHERE channel_id IS NOT NULL
    UNION ALL
    SELECT 'gdrive', coalesce(watched_resource_id, resource_type), expires_at, active, updated_at
    FROM pipedesk.drive_webhook_channels
), latest AS (
    SELECT DISTINCT ON (crm, watched) * FROM channel WHERE active OR ends_at IS NOT NULL
    ORDER BY crm, watched, ends_at DESC NULLS FIRST
)
SELECT l.crm AS subject, l.crm AS crm, NULL AS entity,
    format('%%s push channels end without a successor, the first at %%s UTC', count(*),
           to_char(min(l.ends_at) AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI')) AS text,
    NULL AS cause
FROM latest AS l
WHERE l.ends_at <= %(now)s + %(threshold)s * interval '1 hour'
    AND (l.active OR l.updated_at >= l.ends_at) AND l.crm = ANY(%(crms)s::text[])
GROUP BY l.crm

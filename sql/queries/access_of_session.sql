-- Who is signed in by the session whose token has this hash; no row when it has ended or the user is disabled. A session
-- ends when it was not used for some hours, so the time of the last use is written, once a minute.
--
-- token, idle (a time span)
WITH found AS (
    SELECT s.token_hash, s.last_seen_at, u.id, u.name, u.role, u.organization_id
    FROM access.session AS s JOIN access.user_account AS u ON u.id = s.user_id
    WHERE s.token_hash = %(token)s AND s.expires_at > now() AND s.last_seen_at > now() - %(idle)s::interval
        AND u.disabled_at IS NULL
), seen AS (
    UPDATE access.session AS s SET last_seen_at = now() FROM found AS f
    WHERE s.token_hash = f.token_hash AND f.last_seen_at < now() - interval '1 minute'
)
SELECT f.id, f.name, f.role, f.organization_id FROM found AS f

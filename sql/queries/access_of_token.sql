-- As whom a program acts that has the token with this hash, and what it may do; no row when it was revoked or has ended,
-- or the user is disabled. The time of the last use is written once a minute.
--
-- token
WITH found AS (
    SELECT t.id AS token_id, t.last_used_at, t.scopes, u.id, u.name, u.role, u.organization_id
    FROM access.api_token AS t JOIN access.user_account AS u ON u.id = t.user_id
    WHERE t.token_hash = %(token)s AND t.expires_at > now() AND t.revoked_at IS NULL AND u.disabled_at IS NULL
), seen AS (
    UPDATE access.api_token AS t SET last_used_at = now() FROM found AS f
    WHERE t.id = f.token_id AND coalesce(f.last_used_at < now() - interval '1 minute', true)
)
SELECT f.id, f.name, f.role, f.organization_id, f.scopes FROM found AS f

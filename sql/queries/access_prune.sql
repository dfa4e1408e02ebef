-- Removes what has ended: sessions, tries to sign in, keys of writes, each after its time.
WITH sessions AS (
    DELETE FROM access.session WHERE expires_at < now() OR last_seen_at < now() - interval '1 day'
), failures AS (
    DELETE FROM access.sign_in_failure WHERE failed_at < now() - interval '1 day'
), attempts AS (
    DELETE FROM access.oidc_attempt WHERE expires_at < now()
), views AS (
    DELETE FROM access.clear_view WHERE viewed_at < now() - interval '2 years'
)
DELETE FROM access.idempotency_key WHERE created_at < now() - interval '1 day'

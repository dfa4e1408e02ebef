-- The user who signs in by OIDC: the one that this subject signed in as before, else the one of this name, whom it is
-- bound to from now on. No row when nobody was added under the name, somebody else is bound to it, or it is disabled.
--
-- issuer, subject, name (null where the provider does not vouch for the address)
WITH known AS (
    SELECT u.id, u.disabled_at FROM access.user_account AS u WHERE u.issuer = %(issuer)s AND u.subject = %(subject)s
), bound AS (
    UPDATE access.user_account AS u SET issuer = %(issuer)s, subject = %(subject)s, updated_at = now()
    WHERE u.name = %(name)s AND u.subject IS NULL AND u.disabled_at IS NULL AND NOT EXISTS (SELECT FROM known)
    RETURNING u.id
)
SELECT k.id FROM known AS k WHERE k.disabled_at IS NULL
UNION ALL SELECT b.id FROM bound AS b

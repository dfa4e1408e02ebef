-- Who may use `warehouse serve`: users, sessions, tokens. Nobody but the warehouse's own user reads it.
--
-- What the tables and columns of the schema access mean.
--
-- Run after an upgrade in which this file has changed; safe to repeat.

COMMENT ON TABLE access.user_account IS 'People and programs who may sign in. Written by `warehouse users`.';
COMMENT ON COLUMN access.user_account.id IS 'Key; who changed a lead, in the logs of crm.';
COMMENT ON COLUMN access.user_account.name IS 'What the user signs in with; with OIDC the e-mail address there.';
COMMENT ON COLUMN access.user_account.organization_id IS 'The organization of crm that the user works for.';
COMMENT ON COLUMN access.user_account.role IS 'viewer, operator or admin; docs/api.md says what each may do.';
COMMENT ON COLUMN access.user_account.password_hash IS 'Of argon2id; null where the user signs in by OIDC alone.';
COMMENT ON COLUMN access.user_account.issuer IS 'The OIDC provider of the first sign-in; null before.';
COMMENT ON COLUMN access.user_account.subject IS 'Who the user is there. No other subject signs in as this user.';
COMMENT ON COLUMN access.user_account.created_at IS 'When the user was added.';
COMMENT ON COLUMN access.user_account.updated_at IS 'When the row was last changed.';
COMMENT ON COLUMN access.user_account.disabled_at IS 'Since when the user may do nothing; null while it may.';

COMMENT ON TABLE access.session IS 'Who is signed in with a browser. Signing out deletes the row.';
COMMENT ON COLUMN access.session.token_hash IS 'Key: SHA-256 of the cookie, which is random.';
COMMENT ON COLUMN access.session.user_id IS 'Who signed in.';
COMMENT ON COLUMN access.session.created_at IS 'When.';
COMMENT ON COLUMN access.session.last_seen_at IS 'The last request, to the minute.';
COMMENT ON COLUMN access.session.expires_at IS 'When it ends, however much it is used.';

COMMENT ON TABLE access.api_token IS 'What programs sign in with. Made by `warehouse tokens add`.';
COMMENT ON COLUMN access.api_token.id IS 'Key: what `warehouse tokens revoke` takes.';
COMMENT ON COLUMN access.api_token.user_id IS 'As whom the program acts.';
COMMENT ON COLUMN access.api_token.name IS 'What it is for.';
COMMENT ON COLUMN access.api_token.token_hash IS 'SHA-256 of the token, which is random and was shown once.';
COMMENT ON COLUMN access.api_token.scopes IS 'Rights that it has, as far as the role of the user has them.';
COMMENT ON COLUMN access.api_token.created_at IS 'When it was made.';
COMMENT ON COLUMN access.api_token.expires_at IS 'When it ends.';
COMMENT ON COLUMN access.api_token.last_used_at IS 'The last request, to the minute.';
COMMENT ON COLUMN access.api_token.revoked_at IS 'When it was revoked; null while it holds.';

COMMENT ON TABLE access.sign_in_failure IS 'Sign-ins that failed, by which too many are refused. Kept for a day.';
COMMENT ON COLUMN access.sign_in_failure.id IS 'Key.';
COMMENT ON COLUMN access.sign_in_failure.name_hash IS 'SHA-256 of the name that was tried.';
COMMENT ON COLUMN access.sign_in_failure.address IS 'From where.';
COMMENT ON COLUMN access.sign_in_failure.failed_at IS 'When.';

COMMENT ON TABLE access.idempotency_key IS
    'Writes that were made under an Idempotency-Key, and what they made: a second one is answered alike. Kept for a day.';
COMMENT ON COLUMN access.idempotency_key.user_id IS 'Who wrote.';
COMMENT ON COLUMN access.idempotency_key.key_hash IS 'SHA-256 of the key.';
COMMENT ON COLUMN access.idempotency_key.fingerprint IS
    'SHA-256 of the key, the address and the body: another request under the same key is refused.';
COMMENT ON COLUMN access.idempotency_key.status IS 'What it was answered with; null while it is being made.';
COMMENT ON COLUMN access.idempotency_key.resource IS 'The id of what it made or changed.';
COMMENT ON COLUMN access.idempotency_key.created_at IS 'When it was made.';

COMMENT ON TABLE access.clear_view IS 'Who saw personal data in clear: a row for each page or answer.';
COMMENT ON COLUMN access.clear_view.id IS 'Key.';
COMMENT ON COLUMN access.clear_view.user_id IS 'Who.';
COMMENT ON COLUMN access.clear_view.relation IS 'Of which table.';
COMMENT ON COLUMN access.clear_view.what IS 'Which rows: the key of one, or list, or export. No personal data.';
COMMENT ON COLUMN access.clear_view.viewed_at IS 'When.';

"""Users and their tokens, as an administrator changes them at the command line.

Whatever takes something from a user ends it at once: a new password or a disabled user deletes the sessions, and a
token asks each time whether its user may still act.
"""

import re
import secrets
from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

from warehouse_pipelines import warehouse
from warehouse_pipelines.errors import WrongUse
from warehouse_pipelines.serving.passwords import hashed
from warehouse_pipelines.serving.rights import ROLES, Right
from warehouse_pipelines.serving.secrets_kept import PREFIX, digest

if TYPE_CHECKING:
    from warehouse_pipelines.warehouse import Session

NAME = r"[a-z0-9][a-z0-9._@+-]{0,199}"
LONGEST = timedelta(days=366)


def add_user(session: "Session", name: str, role: str, organization_id: UUID, password: str | None) -> UUID:
    """Add a user; without a password one who signs in by OIDC alone. Raises ``WrongUse``."""
    if not re.fullmatch(NAME, name):
        raise WrongUse(f"{name!r} is no name for a user: lower-case letters, digits and . _ @ + -, such as an address.")
    if role not in ROLES:
        raise WrongUse(f"{role!r} is no role. There are: {', '.join(ROLES)}.")
    made: UUID | None = warehouse.value(
        session,
        "INSERT INTO access.user_account (name, role, organization_id, password_hash) VALUES (%s, %s, %s, %s)"
        " ON CONFLICT (name) DO NOTHING RETURNING id",
        [name, role, organization_id, hashed(password) if password is not None else None],
    )
    if made is None:
        raise WrongUse(f"There is a user {name} already; `warehouse users list` shows them.")
    return made


def users(session: "Session") -> list[dict[str, Any]]:
    """Return the users with the time they were last seen."""
    return session.execute("""
        SELECT u.id, u.name, u.role, u.organization_id, u.password_hash IS NOT NULL AS has_password,
            u.subject IS NOT NULL AS has_oidc, u.disabled_at,
            greatest((SELECT max(s.last_seen_at) FROM access.session AS s WHERE s.user_id = u.id),
                     (SELECT max(t.last_used_at) FROM access.api_token AS t WHERE t.user_id = u.id)) AS last_seen_at
        FROM access.user_account AS u ORDER BY u.name
        """).fetchall()


def set_password(session: "Session", name: str, password: str) -> None:
    """Give a user another password, and end the sessions. Raises ``WrongUse``."""
    kept = hashed(password)
    _change(session, name, "password_hash = %(value)s", kept)


def set_role(session: "Session", name: str, role: str) -> None:
    """Give a user another role, and end the sessions. Raises ``WrongUse``."""
    if role not in ROLES:
        raise WrongUse(f"{role!r} is no role. There are: {', '.join(ROLES)}.")
    _change(session, name, "role = %(value)s", role)


def disable(session: "Session", name: str) -> None:
    """Let a user do nothing any more, by sessions and tokens neither. Raises ``WrongUse``."""
    _change(session, name, "disabled_at = coalesce(disabled_at, now())")


def enable(session: "Session", name: str) -> None:
    """Let a user sign in again. Raises ``WrongUse``."""
    _change(session, name, "disabled_at = NULL")


def remove(session: "Session", name: str) -> None:
    """Remove a user with sessions and tokens; the logs of crm keep the id. Raises ``WrongUse``."""
    if not session.execute("DELETE FROM access.user_account WHERE name = %s RETURNING id", [name]).fetchone():
        raise _nobody(name)


def _change(session: "Session", name: str, what: str, value: str | None = None) -> None:
    with session.transaction():
        row = session.execute(
            f"UPDATE access.user_account SET {what}, updated_at = now() WHERE name = %(name)s RETURNING id",  # noqa: S608
            {"name": name, "value": value},
        ).fetchone()
        if row is None:
            raise _nobody(name)
        session.execute("DELETE FROM access.session WHERE user_id = %s", [row["id"]])


def _nobody(name: str) -> WrongUse:
    return WrongUse(f"There is no user {name!r}; `warehouse users list` shows them.")


def add_token(session: "Session", user: str, name: str, scopes: Sequence[str], lasts: timedelta) -> tuple[UUID, str]:
    """Make a token for a program that acts as a user; return its id, and the token, which nobody can read again.

    Without scopes it has what the role has. Raises ``WrongUse``.
    """
    account = session.execute(
        "SELECT id, role FROM access.user_account WHERE name = %s AND disabled_at IS NULL", [user]
    ).fetchone()
    if account is None:
        raise WrongUse(f"There is no user {user!r} who may act; `warehouse users list` shows them.")
    rights = ROLES[account["role"]]
    unknown = [scope for scope in scopes if scope not in {*Right}]
    beyond = [scope for scope in scopes if scope not in rights and scope not in unknown]
    if unknown:
        raise WrongUse(f"No such right: {', '.join(unknown)}. There are: {', '.join(Right)}.")
    if beyond:
        raise WrongUse(f"A {account['role']} does not have: {', '.join(beyond)}.")
    if not timedelta() < lasts <= LONGEST:
        raise WrongUse(f"A token lasts a day to {LONGEST.days} days.")
    token = PREFIX + secrets.token_urlsafe(32)
    token_id = uuid4()
    session.execute(
        "INSERT INTO access.api_token (id, user_id, name, token_hash, scopes, expires_at)"
        " VALUES (%s, %s, %s, %s, %s, now() + %s)",
        [token_id, account["id"], name, digest(token), sorted(scopes or rights), lasts],
    )
    return token_id, token


def tokens(session: "Session") -> list[dict[str, Any]]:
    """Return the tokens that still hold, without what they are."""
    return session.execute("""
        SELECT t.id, u.name AS user, t.name, t.scopes, t.expires_at, t.last_used_at
        FROM access.api_token AS t JOIN access.user_account AS u ON u.id = t.user_id
        WHERE t.revoked_at IS NULL AND t.expires_at > now() ORDER BY u.name, t.created_at
        """).fetchall()


def revoke_token(session: "Session", token_id: UUID) -> None:
    """End a token. Raises ``WrongUse`` when there is none such that holds."""
    row = session.execute(
        "UPDATE access.api_token SET revoked_at = now() WHERE id = %s AND revoked_at IS NULL RETURNING id", [token_id]
    ).fetchone()
    if row is None:
        raise WrongUse(f"None of the tokens that hold has the id {token_id}; `warehouse tokens list` shows them.")

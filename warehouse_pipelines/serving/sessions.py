"""Sessions of browsers: begun at sign-in with a new random token, known by its hash, deleted at sign-out.

Whatever cookie a browser had before signing in means nothing afterwards, so nobody can plant one and wait. The first
cookie, of the page that asks for the name, is such a one: it proves that the form was that page's, and dies with it.
"""

import secrets
from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import UUID

from fastapi import Request
from fastapi.responses import Response

from warehouse_pipelines.serving.guard import cookie_name
from warehouse_pipelines.serving.secrets_kept import digest

if TYPE_CHECKING:
    from warehouse_pipelines.serving.database import Session

LONGEST = timedelta(days=7)
"""A session ends after this time however much it is used."""

FORM = "warehouse_form"
"""The cookie of the page that asks for the name."""


async def begin(session: "Session", request: Request, response: Response, user_id: UUID) -> None:
    """Begin a session of the user, and end the one that the browser had."""
    token = secrets.token_urlsafe(32)
    await end(session, request, response)
    await session.execute(
        "INSERT INTO access.session (token_hash, user_id, expires_at) VALUES (%s, %s, now() + %s)",
        [digest(token), user_id, LONGEST],
    )
    response.delete_cookie(FORM, path="/login", secure=True, httponly=True, samesite="strict")
    response.set_cookie(
        cookie_name(request), token, max_age=int(LONGEST.total_seconds()), path="/", secure=True, httponly=True,
        samesite="lax",
    )  # fmt: skip


async def end(session: "Session", request: Request, response: Response) -> None:
    """End the session that the browser has, if it has one."""
    name = cookie_name(request)
    if token := request.cookies.get(name):
        await session.execute("DELETE FROM access.session WHERE token_hash = %s", [digest(token)])
        response.delete_cookie(name, path="/", secure=True, httponly=True, samesite="lax")


def form_secret(request: Request) -> str:
    """Return the cookie of the page that asks for the name; empty where there is none."""
    return request.cookies.get(FORM, "")[:200]


def give_form_secret(response: Response, secret: str) -> None:
    """Give the page its cookie, for an hour."""
    response.set_cookie(FORM, secret, max_age=3600, path="/login", secure=True, httponly=True, samesite="strict")

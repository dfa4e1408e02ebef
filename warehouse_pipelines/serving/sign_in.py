"""Sign in and out with a name and a password, and tell a proxy who is signed in.

    GET, POST /login     the form, and a session
    POST      /logout    ends it
    GET       /auth/check  for a proxy before another program (forward auth): 200 with ``X-Warehouse-User`` and
                           ``X-Warehouse-Role``, or a redirect to /login, 401, 403

Tries are limited by name and by address, and counted before the password is looked at, so that many at once count as
many. A wrong name and a wrong password are answered alike and after the same time.

Behind the proxy is Dagster's UI, which has no login and takes a command by GET as well. So the proxy asks for each
request, and one that another site made is refused, whatever its method.
"""

import logging
import secrets
from ipaddress import IPv4Address, IPv6Network, ip_address
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from fastapi import Request
from fastapi.responses import RedirectResponse, Response

from warehouse_pipelines.queries import query
from warehouse_pipelines.serving import guard, passwords, secrets_kept, sessions
from warehouse_pipelines.serving.guard import form
from warehouse_pipelines.serving.pages.render import render
from warehouse_pipelines.serving.problems import Refusal, unauthorized
from warehouse_pipelines.serving.rights import Right, everyone, signed_in
from warehouse_pipelines.serving.secrets_kept import digest

log = logging.getLogger("warehouse.serve")

LIMITS = {"of_both": 5, "of_name": 50, "of_address": 50}
"""Tries that may fail in 15 minutes: under a name from an address, under a name, from an address. The second lets
nobody lock others out with ease; the third is for an office behind one address."""

routes = guard.router()


def network(address: str) -> str:
    """Return what tries are counted by: of IPv6 the 64 bits that one customer has, all of whose addresses are free."""
    try:
        found = ip_address(address)
    except ValueError:
        return address[:100]
    if isinstance(found, IPv4Address):
        return str(found)
    return str(found.ipv4_mapped or IPv6Network((found, 64), strict=False))


def local_path(given: str) -> str:
    """Return where to go after signing in: a path of this program, else its first page."""
    parts = urlsplit(given)
    harmless = given.startswith("/") and not given.startswith("//") and not parts.scheme and not parts.netloc
    return given if harmless and "\\" not in given and given.isprintable() and len(given) < 2_000 else "/"


def _page(request: Request, to: str, *, status: int = 200, failed: str = "") -> Response:
    secret = sessions.form_secret(request) or secrets.token_urlsafe(32)
    page = render(
        request, "login.html", status=status, failed=failed, next=to, oidc=request.app.state.oidc_name,
        csrf_token=secrets_kept.csrf_of(secret), visitor=None,
    )  # fmt: skip
    sessions.give_form_secret(page, secret)
    return page


@routes.get("/login")
@everyone
async def show_login(request: Request, next: str = "/") -> Response:
    """Show the form."""
    return _page(request, local_path(next))


@routes.post("/login")
@everyone
async def login(request: Request) -> Response:
    """Begin a session."""
    sent = form(request)
    name, to = str(sent.get("name", "")).strip().lower(), local_path(str(sent.get("next", "/")))
    secret = sessions.form_secret(request)
    if not secret or not secrets_kept.is_csrf_of(secret, str(sent.get("csrf_token", ""))):
        return _page(request, to, status=403, failed="The form was too old. Try again.")
    found = await _verified(request, name, str(sent.get("password", "")))
    if found is None:
        return _page(request, to, status=401, failed="The name or the password is wrong, or tries were too many.")
    response = RedirectResponse(to, status_code=303)
    async with request.app.state.pool.session() as session:
        await session.execute("DELETE FROM access.sign_in_failure WHERE name_hash = %s AND address = %s",
                              [digest(name), network(guard.address(request))])  # fmt: skip
        await sessions.begin(session, request, response, found["id"])
    return response


async def _verified(request: Request, name: str, password: str) -> dict[str, Any] | None:
    """Return the user whose name and password these are; None for nobody, or when tries were too many."""
    given = {"name": digest(name), "address": network(guard.address(request)), **LIMITS}
    async with request.app.state.pool.session() as session:
        async with session.transaction():
            # Counted one after the other, so that tries at once do not all find room.
            await session.execute("SELECT pg_advisory_xact_lock(hashtextextended('warehouse:sign-in', 0))")
            cursor = await session.execute(query("access_sign_in_begin"), given)
            if await cursor.fetchone() is None:
                log.warning("a sign-in from %s was refused: too many failed", given["address"])
                return None
        cursor = await session.execute(
            "SELECT id, password_hash FROM access.user_account WHERE name = %s AND disabled_at IS NULL", [name]
        )
        row: dict[str, Any] | None = await cursor.fetchone()
    good = await passwords.holds_async(password, row["password_hash"] if row else None)
    return row if good else None


@routes.post("/logout")
@signed_in
async def logout(request: Request) -> Response:
    """End the session."""
    response = RedirectResponse("/login", status_code=303)
    async with request.app.state.pool.session() as session:
        await sessions.end(session, request, response)
    response.headers["Clear-Site-Data"] = '"cache"'
    return response


@routes.get("/auth/check")
@everyone
async def check(request: Request) -> Response:
    """Tell a proxy whether the visitor may use what is behind it."""
    who = await guard.identify(request)
    uri = request.headers.get("x-forwarded-uri", "/")
    method = request.headers.get("x-forwarded-method", "GET").upper()
    _refuse_other_sites(request)
    if who is None:
        if method == "GET" and "text/html" in request.headers.get("accept", ""):
            return RedirectResponse(_login_for(request, uri), status_code=303)
        raise unauthorized()
    guard.require(who, Right.DAGSTER_USE)
    return Response(status_code=200, headers={"X-Warehouse-User": who.name, "X-Warehouse-Role": who.role})


def _login_for(request: Request, uri: str) -> str:
    """Return where to sign in: here, and then back, or where this program is reached by itself."""
    public = urlsplit(request.app.state.settings.warehouse_public_url)
    host = request.headers.get("x-forwarded-host", "")
    if not public.netloc or host == public.netloc:
        return f"/login?next={quote(local_path(uri), safe='/')}"
    return f"{public.scheme}://{public.netloc}/login"


def _refuse_other_sites(request: Request) -> None:
    """Raise ``Refusal`` for what another site made a browser ask; a link to a page may be followed."""
    host = request.headers.get("x-forwarded-host") or request.headers.get("host")
    origin = request.headers.get("origin")
    elsewhere = request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none")
    path = _decoded(request.headers.get("x-forwarded-uri", "/").partition("?")[0])
    a_link = request.headers.get("sec-fetch-mode") == "navigate" and "graphql" not in path.lower()
    if (elsewhere and not a_link) or (origin is not None and urlsplit(origin).netloc != host):
        raise Refusal(403, "Another site made this request.")


def _decoded(path: str) -> str:
    """Return a path as whoever is behind the proxy may read it: ``/%67raphql`` is one of Dagster's as well."""
    while (plain := unquote(path)) != path:
        path = plain
    return path

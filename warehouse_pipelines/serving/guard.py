"""Who asks, and whether they may: before anything of a request is read but its head.

Every route is a ``GuardedRoute``. In this order: who it is (401), whether the role and, of a program, the scopes of its
token have the right that the route declares (403), whether the organization is the one that the sources feed where the
route shows what is of all (403), whether a browser was made to ask by another site (403), the body (413, 408). Then the
route's own function runs, with ``visitor(request)``.

A browser has a cookie, a program ``Authorization: Bearer``; a request with the header is judged by it alone. A cookie
is sent along whichever page asks, so a request that may change something and has one needs what another site cannot
know or forge as well: the token in the form field ``csrf_token`` or the header ``X-CSRF-Token``, and no ``Origin`` or
``Sec-Fetch-Site`` of another site. The token is made of the session's, so each session has its own and none is kept.
"""

import asyncio
from collections.abc import Callable, Coroutine, Set
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlsplit
from uuid import UUID

from fastapi import APIRouter, Request
from fastapi.responses import Response
from fastapi.routing import APIRoute
from starlette.datastructures import FormData

from warehouse_pipelines.queries import query
from warehouse_pipelines.serving.problems import Refusal, other_organization, unauthorized
from warehouse_pipelines.serving.rights import EVERYONE, OVER_ALL, ROLES, SIGNED_IN, Right, declared
from warehouse_pipelines.serving.secrets_kept import TOKEN, csrf_of, digest, is_csrf_of

LARGEST_BODY = 1_000_000
"""Bytes of a form or of a request of the API: a thousand times a lead."""
LARGEST_OF_STRANGERS = 16_000
"""The same of somebody whom nobody knows yet: ten times the form of ``/login``."""
MOST_HELD = 32_000_000
"""Bytes of bodies of those who are known, over all requests at a time; more is answered 503."""
BODY_SECONDS = 10.0

SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
IDLE = "8 hours"
"""A session that was not used for so long has ended; ``sign_in.SESSION`` says when it ends in any case."""


@dataclass(frozen=True)
class Visitor:
    """Who a request is made by. ``csrf_token`` is for forms; a program has none."""

    user_id: UUID
    name: str
    role: str
    organization_id: UUID
    rights: frozenset[Right]
    address: str
    csrf_token: str = ""
    sees_all_organizations: bool = False
    """Whether the organization is the one that the sources feed. Others see what is their own alone."""

    def may(self, right: Right | str) -> bool:
        """Whether the visitor has a right."""
        return right in self.rights

    @property
    def sees_personal_data(self) -> bool:
        """Whether personal data may be shown in clear."""
        return Right.PERSONAL_READ in self.rights


class GuardedRoute(APIRoute):
    """A route that says who may use it, and is used by nobody else."""

    def __init__(self, path: str, endpoint: Callable[..., Any], **given: Any) -> None:
        self.right = declared(endpoint)
        self.of_all_organizations: bool = getattr(endpoint, "of_all_organizations", False)
        super().__init__(path, endpoint, **given)

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handler, right = super().get_route_handler(), self.right
        of_all = self.of_all_organizations

        async def guarded(request: Request) -> Response:
            request.state.held = 0
            try:
                await _admit(request, right, of_all=of_all)
                return await handler(request)
            finally:
                if request.state.held:
                    request.app.state.room.give_back(request.state.held)

        return guarded


def router(prefix: str = "", *, tags: list[str] | None = None, in_schema: bool = False) -> APIRouter:
    """Return a router whose routes are guarded; ``in_schema`` for those of the API."""
    return APIRouter(
        prefix=prefix, tags=list(tags or ()), route_class=GuardedRoute, include_in_schema=in_schema,
        max_body_size=LARGEST_BODY,
    )  # fmt: skip


def visitor(request: Request) -> Visitor:
    """Return who asks, on a route that is not open to everyone."""
    found: Visitor = request.state.visitor
    return found


def form(request: Request) -> FormData:
    """Return the fields of a form that was sent, ``csrf_token`` among them; empty where none was."""
    found: FormData = request.state.form
    return found


def cookie_name(request: Request) -> str:
    """Return the cookie's name: behind HTTPS one that no neighbouring site can set."""
    return f"{'__Host-' if request.app.state.https else ''}warehouse_session"


def address(request: Request) -> str:
    """Return where a request comes from."""
    return request.client.host if request.client else ""


async def _admit(request: Request, right: Right | str, *, of_all: bool) -> None:
    request.state.form = FormData()
    by_program = "authorization" in request.headers
    request.state.visitor = None if by_program and right == EVERYONE else await identify(request)
    if right != EVERYONE:
        if request.state.visitor is None:
            raise unauthorized()
        if right != SIGNED_IN:
            require(request.state.visitor, right)
        if of_all and not request.state.visitor.sees_all_organizations:
            raise other_organization()
    if request.method in SAFE:
        return
    if not by_program:
        refuse_other_sites(request)
    await _read_body(request, LARGEST_OF_STRANGERS if right == EVERYONE else LARGEST_BODY)
    if not by_program and right != EVERYONE:
        given = request.headers.get("x-csrf-token") or str(request.state.form.get("csrf_token", ""))
        if not is_csrf_of(request.cookies.get(cookie_name(request), ""), given):
            raise Refusal(403, "The form is not of this session. Load the page again.")


def require(who: Visitor, right: Right | str) -> None:
    """Raise ``Refusal`` where a visitor does not have a right."""
    if who.may(right):
        return
    if right in OVER_ALL & ROLES[who.role] and not who.sees_all_organizations:
        raise other_organization()
    raise Refusal(403, f"This takes the right {right}, which you do not have here.")


async def identify(request: Request) -> Visitor | None:
    """Return who asks; None for nobody. Raises ``Refusal`` for a token that does not hold."""
    given = request.headers.get("authorization")
    if given is not None:
        scheme, _, token = given.partition(" ")
        row = None
        if scheme.lower() == "bearer" and TOKEN.fullmatch(token := token.strip()):
            row = await _ask(request, query("access_of_token"), {"token": digest(token)})
        if row is None:
            raise unauthorized("The token does not hold: it is none, was revoked or has ended.")
        return _visitor(request, row, scopes={Right(one) for one in row["scopes"] if one in {*Right}})
    secret = request.cookies.get(cookie_name(request), "")
    if not secret or len(secret) > 200:
        return None
    row = await _ask(request, query("access_of_session"), {"token": digest(secret), "idle": IDLE})
    return None if row is None else _visitor(request, row, csrf_token=csrf_of(secret))


def _visitor(
    request: Request, row: dict[str, Any], *, scopes: Set[Right] = frozenset(Right), csrf_token: str = ""
) -> Visitor:
    of_all = row["organization_id"] == request.app.state.organization_id
    return Visitor(
        row["id"], row["name"], row["role"], row["organization_id"],
        (ROLES[row["role"]] & scopes) - (frozenset() if of_all else OVER_ALL), address(request), csrf_token, of_all,
    )  # fmt: skip


async def _ask(request: Request, statement: str, parameters: dict[str, Any]) -> dict[str, Any] | None:
    async with request.app.state.pool.session() as session:
        cursor = await session.execute(statement, parameters)
        row: dict[str, Any] | None = await cursor.fetchone()
        return row


def refuse_other_sites(request: Request) -> None:
    """Raise ``Refusal`` for a request that a browser says another site made."""
    origin = request.headers.get("origin")
    if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none") or (
        origin is not None and urlsplit(origin).netloc != request.headers.get("host")
    ):
        raise Refusal(403, "Another site made this request.")


async def _read_body(request: Request, largest: int) -> None:
    try:
        async with asyncio.timeout(BODY_SECONDS):
            body = await _bytes(request, largest)
    except TimeoutError:
        raise Refusal(408, f"The body did not come within {BODY_SECONDS:.0f} seconds.") from None
    request._body = body  # what Request.body() returns, to FastAPI too
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() == "application/x-www-form-urlencoded":
        try:
            request.state.form = FormData([*parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=1_000)])
        except ValueError:
            raise Refusal(400, "The form cannot be read.") from None


async def _bytes(request: Request, largest: int) -> bytes:
    """Return the body, of which no more is read than is allowed. Raises ``Refusal``."""
    parts, size = [], 0
    async for part in request.stream():
        parts.append(part)
        size += len(part)
        if size > largest:
            raise Refusal(413, f"The body is larger than {largest:,} bytes.")
        if largest > LARGEST_OF_STRANGERS:
            request.state.held += len(part)
            if not request.app.state.room.take(len(part)):
                raise Refusal(503, "Too many large requests at a time; try again.", headers={"Retry-After": "5"})
    return b"".join(parts)

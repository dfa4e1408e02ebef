"""How ``serve`` says no: as problem details (RFC 9457) below ``/api``, and as a page for everybody else.

What went wrong inside is logged and not told. An answer never repeats what was sent: a value may be personal, and a
page that repeats it may be made to run it.
"""

import logging
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import msgspec
import psycopg
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import RedirectResponse, Response
from starlette.exceptions import HTTPException

from warehouse_pipelines.errors import ActionNeeded, DatabaseUnavailable, TryAgain
from warehouse_pipelines.serving.pages.render import render

log = logging.getLogger("warehouse.serve")

AGAIN_SECONDS = "5"


class Refusal(Exception):
    """A request is answered with ``status``; ``detail`` says why and what to do, without personal data."""

    def __init__(
        self, status: int, detail: str, *, headers: Mapping[str, str] | None = None, errors: Sequence[Any] = ()
    ) -> None:
        super().__init__(detail)
        self.status, self.detail, self.headers, self.errors = status, detail, dict(headers or {}), errors


def unauthorized(detail: str = "Sign in, or send a token: Authorization: Bearer …") -> Refusal:
    """Return the refusal of somebody whom nobody knows."""
    return Refusal(401, detail, headers={"WWW-Authenticate": 'Bearer realm="warehouse"'})


def other_organization() -> Refusal:
    """Return the refusal of what is of all organizations, to a user of another one than the sources feed."""
    return Refusal(
        403,
        "This is of all organizations at once. It is for users of the one that the sources feed (CRM_ORGANIZATION_ID), "
        "and you are of another one; you see what is your organization's, such as its leads.",
    )


def answer(request: Request, refusal: Refusal) -> Response:
    """Return what a refusal looks like to whoever asked."""
    path = request.url.path
    if path.startswith(("/api/", "/auth/", "/webhooks/")) or path == "/api":
        return _details(refusal)
    if refusal.status == 401 and request.method in ("GET", "HEAD"):
        query = request.url.query
        back = quote(f"{path}{'?' if query else ''}{query}", safe="/")
        return RedirectResponse(f"/login?next={back}", status_code=303)
    page = render(
        request, "problem.html", title=HTTPStatus(refusal.status).phrase, detail=refusal.detail, status=refusal.status
    )
    page.headers.update(refusal.headers)
    return page


def _details(refusal: Refusal) -> Response:
    content: dict[str, Any] = {
        "type": "about:blank",
        "title": HTTPStatus(refusal.status).phrase,
        "status": refusal.status,
        "detail": refusal.detail,
    }
    if refusal.errors:
        content["errors"] = list(refusal.errors)
    return Response(
        msgspec.json.encode(content), refusal.status, refusal.headers, media_type="application/problem+json"
    )


def install(app: FastAPI) -> None:
    """Have the application answer errors so."""

    @app.exception_handler(Refusal)
    async def refused(request: Request, error: Any) -> Response:
        return answer(request, error)

    @app.exception_handler(HTTPException)
    async def of_the_framework(request: Request, error: Any) -> Response:
        said = {404: "There is nothing here.", 405: "This address does not take this method."}
        detail = said.get(error.status_code, HTTPStatus(error.status_code).description or "Refused.")
        return answer(request, Refusal(error.status_code, detail, headers=error.headers))

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: Any) -> Response:
        found = [{"pointer": _pointer(one["loc"]), "detail": _said(one)} for one in error.errors()]
        return answer(request, Refusal(422, "The request has values that cannot be used; see errors.", errors=found))

    @app.exception_handler(TryAgain)
    async def away(request: Request, error: Exception) -> Response:
        log.warning("%s: %s", request.method, error)
        what = "The warehouse" if isinstance(error, DatabaseUnavailable) else "Dagster"
        refusal = Refusal(503, f"{what} does not answer; try again.", headers={"Retry-After": AGAIN_SECONDS})
        return answer(request, refusal)

    @app.exception_handler(ActionNeeded)
    async def needs_somebody(request: Request, error: Exception) -> Response:
        return answer(request, Refusal(502, str(error)))

    @app.exception_handler(psycopg.Error)
    async def of_the_database(request: Request, error: Any) -> Response:
        return answer(request, _of_the_database(error))

    @app.exception_handler(Exception)
    async def unexpected(request: Request, error: Exception) -> Response:
        # Starlette logs the traceback; the message of an error may hold what was sent, so it is not repeated here.
        return answer(request, Refusal(500, "Something went wrong here; the log of serve says what."))


def _of_the_database(error: psycopg.Error) -> Refusal:
    """Return what an error of a statement means to who asked.

    Functions of ours say what is wrong in words, with ids and without personal data. PostgreSQL's own messages are left
    out, for they may quote a value; the name of the constraint says enough.
    """
    state, diagnosis = error.sqlstate or "", error.diag
    if state == "23505":
        return Refusal(409, f"There is one such already ({diagnosis.constraint_name}).")
    if state == "P0002":
        return Refusal(404, "There is no such lead or sequence.")
    if state == "23503":
        return Refusal(422, f"It refers to something that is not there ({diagnosis.constraint_name}).")
    if state == "42501":
        return Refusal(403, "The database does not let you do this.")
    if state == "23514":
        ours = diagnosis.table_name is None
        said = f"{diagnosis.message_primary} {diagnosis.message_hint or ''}" if ours else diagnosis.constraint_name
        return Refusal(422, f"The database refuses this: {str(said).strip()}")
    if state == "57014":
        return Refusal(503, "It took too long; ask for less.", headers={"Retry-After": AGAIN_SECONDS})
    if state[:2] in ("22", "23") or isinstance(error, psycopg.DataError):
        return Refusal(422, "A value cannot be stored, or is out of range.")
    log.error("a statement failed: %s %s", type(error).__name__, state)
    if isinstance(error, psycopg.OperationalError):
        return Refusal(503, "The warehouse does not answer; try again.", headers={"Retry-After": AGAIN_SECONDS})
    return Refusal(500, "Something went wrong here; the log of serve says what.")


def _pointer(place: Sequence[Any]) -> str:
    """Return where a value stands, without what a name of the caller's could smuggle in."""
    return "/".join(str(part)[:60] for part in place)


def _said(error: Mapping[str, Any]) -> str:
    return str(error["msg"])[:200]

"""What people decide of persons: confirm, reject, split, withdraw, as ``warehouse identity`` does it.

The decisions are those of ``unified.identity.decisions``; the next run of identity acts on them. While a run is at work
nobody decides, so whoever asks then is told so after ``LOCK_SECONDS``.
"""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from uuid import UUID

import psycopg
from fastapi import Request
from fastapi.responses import RedirectResponse, Response

from warehouse_pipelines import warehouse
from warehouse_pipelines.errors import WrongUse
from warehouse_pipelines.serving import guard
from warehouse_pipelines.serving.guard import form, visitor
from warehouse_pipelines.serving.problems import Refusal
from warehouse_pipelines.serving.rights import Right, needs
from warehouse_pipelines.unified.identity import decisions

if TYPE_CHECKING:
    from warehouse_pipelines.warehouse import Session

routes = guard.router()

LOCK_SECONDS = 3
LONGEST = 500


@routes.post("/persons/{person}/confirm")
@needs(Right.IDENTITY_DECIDE)
async def confirm(request: Request, person: UUID) -> Response:
    """Decide that the person and ``other``, a person or a record, are one."""
    other, reason, by = _field(request, "other"), _field(request, "reason"), visitor(request).name
    return await _decide(
        request, person, lambda session: decisions.confirm(session, str(person), other, by=by, reason=reason or None)
    )


@routes.post("/persons/{person}/reject")
@needs(Right.IDENTITY_DECIDE)
async def reject(request: Request, person: UUID) -> Response:
    """Decide that the person and ``other`` are two."""
    other, reason, by = _field(request, "other"), _field(request, "reason"), visitor(request).name
    return await _decide(
        request, person, lambda session: decisions.reject(session, str(person), other, by=by, reason=reason or None)
    )


@routes.post("/persons/{person}/split")
@needs(Right.IDENTITY_DECIDE)
async def split(request: Request, person: UUID) -> Response:
    """Decide that ``record``, which is one of the person's, is nobody of those that it is with."""
    record, reason, by = _field(request, "record"), _field(request, "reason"), visitor(request).name

    def decide(session: "Session") -> Any:
        if decisions.find(session, record).person_id != person:
            raise WrongUse("this record is not one of the person's")
        return decisions.split(session, record, by=by, reason=reason or None)

    return await _decide(request, person, decide)


@routes.post("/persons/{person}/withdraw")
@needs(Right.IDENTITY_DECIDE)
async def withdraw(request: Request, person: UUID) -> Response:
    """Take a decision of a record of the person back."""
    given = _field(request, "decision")
    if not given.isascii() or not given.isdigit() or len(given) > 18:
        raise Refusal(422, "A decision is named by its number.")

    def decide(session: "Session") -> Any:
        members = session.execute(
            "SELECT source_table, source_key FROM identity.member WHERE person_id = %s", [person]
        ).fetchall()
        names = [(row["source_table"], row["source_key"]) for row in members]
        if int(given) not in {one.decision_id for one in decisions.holding(session, names)}:
            raise WrongUse("no such decision holds of this person")
        return decisions.withdraw(session, [int(given)])

    return await _decide(request, person, decide)


def _field(request: Request, name: str) -> str:
    value = str(form(request).get(name, "")).strip()
    if len(value) > LONGEST or "\x00" in value:
        raise Refusal(422, f"A field has at most {LONGEST} characters, none of them NUL.")
    return value


async def _decide(request: Request, person: UUID, decide: "Callable[[Session], Any]") -> Response:
    def work() -> None:
        with warehouse.session(request.app.state.url) as session:
            session.execute(f"SET lock_timeout = '{LOCK_SECONDS}s'")
            decide(session)

    try:
        await asyncio.to_thread(work)
    except WrongUse as error:
        raise Refusal(422, f"This cannot be decided: {error}.") from error
    except psycopg.errors.LockNotAvailable:
        raise Refusal(
            503, "A run of identity is at work, and nothing is decided meanwhile. Try again in a minute.",
            headers={"Retry-After": "60"},
        ) from None  # fmt: skip
    return RedirectResponse(f"/persons/{person}?decided=1", status_code=303)

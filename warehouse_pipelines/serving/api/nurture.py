"""The do-not-call list, and sequences of messages and calls. What blocks whom the functions of ``crm`` decide."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal
from uuid import UUID

from fastapi import Query, Request
from fastapi.responses import Response
from psycopg.types.json import Jsonb

from warehouse_pipelines.queries import query
from warehouse_pipelines.serving import guard
from warehouse_pipelines.serving.api.answers import created, reply
from warehouse_pipelines.serving.api.bodies import Enrollment, MessageTemplate, NewDncEntry, NewSequence
from warehouse_pipelines.serving.api.leads import lead_now
from warehouse_pipelines.serving.api.writes import once
from warehouse_pipelines.serving.database import CRM_APP
from warehouse_pipelines.serving.guard import visitor
from warehouse_pipelines.serving.problems import Refusal
from warehouse_pipelines.serving.rights import Right, needs

if TYPE_CHECKING:
    from warehouse_pipelines.serving.database import Session

routes = guard.router("/api", in_schema=True)


async def _shown(session: "Session", statement: str, key: str) -> dict[str, Any]:
    row = await (await session.execute(statement, {"id": key})).fetchone()
    if row is None:
        raise Refusal(404, "There is no such row any more.")
    return row


async def _made(session: "Session", statement: str, given: Mapping[str, Any]) -> str:
    """Run a statement that returns one row and return its id."""
    [row] = await (await session.execute(statement, given)).fetchall()
    return str(row["id"])


@routes.post("/dnc", status_code=201, tags=["do not call"])
@needs(Right.DNC_WRITE)
async def add_to_dnc(request: Request, entry: NewDncEntry) -> Response:
    """Add a number, or the person of a lead, to the do-not-call list. Entries are never deleted."""

    async def write(session: "Session") -> str:
        given = {**entry.model_dump(), "organization": visitor(request).organization_id}
        made = await _made(session, query("api_add_dnc"), given)
        await session.execute(query("api_add_dnc_person"), {"id": made})
        return made

    async def show(session: "Session", made: str) -> Response:
        return reply(await _shown(session, query("api_dnc_entry"), made), 201)

    return await once(request, write, show)


@routes.get("/dnc/check", tags=["do not call"])
@needs(Right.LEADS_READ)
async def check_dnc(
    request: Request,
    phone: Annotated[str, Query(min_length=1, max_length=100)],
    channel: Literal["call", "sms", "email"] | None = None,
) -> Response:
    """Tell whether a number must not be contacted, over a channel or over any. One that cannot be read must not."""
    who = visitor(request)
    async with request.app.state.pool.acting(CRM_APP, who, reads=True) as session:
        cursor = await session.execute(
            "SELECT crm.is_on_dnc_list(%s, %s, %s) AS listed", [phone, who.organization_id, channel]
        )
        row = await cursor.fetchone()
    return reply({"listed": row["listed"], "channel": channel})


@routes.post("/nurture_sequences", status_code=201, tags=["sequences"])
@needs(Right.SEQUENCES_WRITE)
async def create_sequence(request: Request, sequence: NewSequence) -> Response:
    """Make a sequence."""

    async def write(session: "Session") -> str:
        given = {
            **sequence.model_dump(),
            "organization": visitor(request).organization_id,
            "steps": Jsonb(sequence.steps),
            "trigger_conditions": Jsonb(sequence.trigger_conditions),
        }
        return await _made(session, query("api_add_sequence"), given)

    async def show(session: "Session", made: str) -> Response:
        return reply(await _shown(session, query("api_sequence"), made), 201)

    return await once(request, write, show)


@routes.put("/message_templates", tags=["sequences"])
@needs(Right.SEQUENCES_WRITE)
async def put_template(request: Request, template: MessageTemplate) -> Response:
    """Make a text that steps name by `template`, or replace the one of this name and channel."""
    who = visitor(request)
    given = {**template.model_dump(), "organization": who.organization_id}
    async with request.app.state.pool.acting(CRM_APP, who) as session:
        cursor = await session.execute(query("api_put_template"), given)
        return reply(await cursor.fetchone())


@routes.post("/leads/{lead_id}/enroll", status_code=201, tags=["sequences"])
@needs(Right.SEQUENCES_WRITE)
async def enroll(request: Request, lead_id: UUID, enrollment: Enrollment) -> Response:
    """Enroll a lead in a sequence; one that is in it already stays where it is."""

    async def write(session: "Session") -> str:
        given = {"lead": await lead_now(session, lead_id), "sequence": enrollment.sequence_id}
        return await _made(session, "SELECT crm.enroll_lead(%(lead)s, %(sequence)s) AS id", given)

    async def show(session: "Session", made: str) -> Response:
        row = await _shown(session, query("api_enrollment"), made)
        return created(row, f"/api/leads/{row['lead_id']}")

    return await once(request, write, show)

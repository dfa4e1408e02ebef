"""Leads: read, list, add, change, delete softly.

Each is one statement as ``crm_app`` for the visitor's organization; transitions of the status, the audit log and the
histories are the database's. Who lacks ``personal.read`` sees leads as the schema ``masked`` shows them, and may not
filter by what is masked, since a filter that finds or does not find tells as much.

A lead that became part of another one, because both are one person, answers as that one, to reads, changes and repeated
requests, with its address in ``Content-Location``: many clients follow no redirect of a PATCH or POST. By its old id it
is not deleted.

An ``ETag`` is a hash of the whole row. With ``If-Match`` a change is made only to the row that the client has seen: the
condition is part of the UPDATE, which looks at the row again after it has waited for another change, so of two at a
time one is refused (412). Masked leads have none, because a hash of few possible values can be tried.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID, uuid4

import msgspec
from fastapi import Query, Request
from fastapi.responses import Response
from psycopg import sql
from psycopg.types.json import Jsonb

from warehouse_pipelines.queries import query
from warehouse_pipelines.serving import guard
from warehouse_pipelines.serving.api.answers import MOST, created, cursor_after, read_cursor, read_json, reply
from warehouse_pipelines.serving.api.bodies import LeadChange, NewLead, Status
from warehouse_pipelines.serving.api.kept_out import require_not_erased
from warehouse_pipelines.serving.api.writes import once
from warehouse_pipelines.serving.database import CRM_APP, READ_MASKED
from warehouse_pipelines.serving.guard import visitor
from warehouse_pipelines.serving.problems import Refusal
from warehouse_pipelines.serving.rights import Right, needs

if TYPE_CHECKING:
    from warehouse_pipelines.serving.database import Session

routes = guard.router("/api/leads", tags=["leads"], in_schema=True)

DOCUMENTS = frozenset({"source_metadata", "consent"})
PERSONAL = frozenset({
    "first_name", "last_name", "email", "phone", "postal_code", "source_metadata", "consent", "tags", "timezone",
})  # fmt: skip
"""What ``masked.crm_leads`` masks: no filter of who sees leads masked."""

CHANGE = """
    UPDATE crm.leads AS l SET {} WHERE l.id = %(id)s AND l.deleted_at IS NULL
        AND (%(etag)s::text IS NULL OR left(encode(sha256(convert_to(l::text, 'UTF8')), 'hex'), 32) = %(etag)s)
    RETURNING l.id
"""
TEXTS = (*sorted(DOCUMENTS), "lead_score_factors")
LARGEST_FILTER = 20_000


def shown(lead: dict[str, Any]) -> dict[str, Any]:
    """Return a lead whose documents go into the answer as PostgreSQL wrote them, without being read here."""
    for name in TEXTS:
        lead[name] = msgspec.Raw(lead[name].encode())
    return lead


async def _masked(session: "Session", leads: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return leads as the schema ``masked`` shows them, in their order; the transaction reads masked from then on."""
    await session.execute("SELECT set_config('role', %s, true)", [READ_MASKED])
    found = await session.execute(query("api_leads_masked"), {"ids": [lead["id"] for lead in leads]})
    by_id = {row["id"]: shown(row) for row in await found.fetchall()}
    return [by_id[lead["id"]] for lead in leads]


async def lead_now(session: "Session", lead_id: UUID | str) -> UUID:
    """Return the id of a lead that is not deleted: this one, or the one that it became part of. Raises ``Refusal``."""
    found = await (await session.execute(query("api_lead_now"), {"id": lead_id})).fetchone()
    if found is None:
        raise Refusal(404, "There is no such lead.")
    now: UUID = found["id"]
    return now


def located(now: UUID | str, asked: UUID | str) -> dict[str, str]:
    """Return the header that says that a lead is another one now."""
    return {} if str(now) == str(asked) else {"Content-Location": f"/api/leads/{now}"}


async def _answer(
    session: "Session", request: Request, lead_id: str, status: int = 200, *, asked: UUID | None = None
) -> Response:
    """Return a lead as it is now, as the visitor may see it; ``asked``: by another id. Raises ``Refusal``."""
    now = await lead_now(session, lead_id)
    lead = await (await session.execute(query("api_lead"), {"id": now})).fetchone()
    if lead is None:
        raise Refusal(404, "There is no such lead.")
    etag, elsewhere = lead.pop("etag"), located(now, asked or lead_id)
    if not visitor(request).sees_personal_data:
        (hidden,) = await _masked(session, [lead])
        return reply(hidden, status, elsewhere)
    headers = {"ETag": f'"{etag}"', **elsewhere}
    if status == 201:
        return created(shown(lead), f"/api/leads/{now}", headers)
    if request.method == "GET" and f'"{etag}"' in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    return reply(shown(lead), status, headers)


def _etag(request: Request) -> str | None:
    """Return the ETag that the lead must have; None for any. Raises ``Refusal``."""
    given = request.headers.get("if-match")
    if given is None or given.strip() == "*":
        return None
    etag = given.strip().strip('"')
    if "," in given or not etag.isalnum() or not etag.isascii():
        raise Refusal(412, "If-Match takes the one ETag that this lead was read with.")
    return etag


def _values(body: LeadChange, only: set[str]) -> Iterator[tuple[str, sql.Composable, Any]]:
    """Yield column, place and value of the fields of a body."""
    for name in sorted(only):
        value = getattr(body, name)
        place: sql.Composable = sql.Placeholder(name)
        if name == "phone":
            # A number that cannot be read stays as it is, and the table refuses it.
            place = sql.SQL("coalesce(crm.normalize_phone({0}), {0})").format(sql.Placeholder(name))
        elif name == "consent":
            value = Jsonb([one.model_dump(exclude_none=True) for one in value])
        elif name in DOCUMENTS:
            value = Jsonb(value)
        yield name, place, value


@routes.get("")
@needs(Right.LEADS_READ)
async def list_leads(
    request: Request,
    filter: Annotated[
        str, Query(max_length=LARGEST_FILTER, description="A filter as segments have it, as JSON.")
    ] = "{}",
    status: Status | None = None,
    source: Annotated[str | None, Query(max_length=500)] = None,
    owner_id: UUID | None = None,
    tag: Annotated[str | None, Query(max_length=100)] = None,
    segment_id: Annotated[UUID | None, Query(description="The leads of a saved segment.")] = None,
    limit: Annotated[int, Query(ge=1, le=MOST)] = 100,
    cursor: Annotated[str | None, Query(max_length=200, description="`next` of the page before.")] = None,
) -> Response:
    """List leads, the newest first."""
    who = visitor(request)
    wanted = [read_json(filter, "filter")]
    plain = {"status": status, "source": source, "owner_id": owner_id and str(owner_id)}
    wanted += [{"field": name, "op": "eq", "value": value} for name, value in plain.items() if value is not None]
    if tag is not None:
        wanted.append({"field": "tags", "op": "has", "value": tag})
    if not who.sees_personal_data and (hidden := sorted(set(_fields(wanted)) & PERSONAL)):
        raise Refusal(403, f"A filter by {', '.join(hidden)} takes the right {Right.PERSONAL_READ}.")
    before, before_id = read_cursor(cursor) if cursor else ("infinity", UUID(int=0))
    async with request.app.state.pool.acting(CRM_APP, who, reads=True) as session:
        if segment_id is not None:
            wanted.append(await _segment(session, segment_id, who))
        wanted = [one for one in wanted if one != {}]
        given = {
            "filter": Jsonb({"and": wanted} if len(wanted) > 1 else wanted[0] if wanted else {}),
            "size": limit + 1, "before": before, "before_id": before_id,
        }  # fmt: skip
        found = await (await session.execute(query("api_leads"), given)).fetchall()
        page, more = found[:limit], len(found) > limit
        items = [shown(lead) for lead in page] if who.sees_personal_data else await _masked(session, page)
    following = cursor_after(page[-1]["created_at"], page[-1]["id"]) if more else None
    return reply({"items": items, "next": following})


async def _segment(session: "Session", segment_id: UUID, who: guard.Visitor) -> Any:
    row = await (
        await session.execute("SELECT filter_criteria FROM crm.segments WHERE id = %s", [segment_id])
    ).fetchone()
    if row is None:
        raise Refusal(404, "There is no such segment.")
    if not who.sees_personal_data and set(_fields(row["filter_criteria"])) & PERSONAL:
        raise Refusal(403, f"This segment filters by personal data, which takes the right {Right.PERSONAL_READ}.")
    return row["filter_criteria"]


def _fields(wanted: Any) -> Iterator[str]:
    """Yield the fields that a filter asks for, however deep."""
    open_ = [wanted]
    while open_:
        one = open_.pop()
        if isinstance(one, list):
            open_ += one
        elif isinstance(one, dict):
            if isinstance(one.get("field"), str):
                yield one["field"]
            open_ += one.values()


@routes.post("", status_code=201)
@needs(Right.LEADS_WRITE)
async def create_lead(request: Request, lead: NewLead) -> Response:
    """Add a lead. The phone number is normalized. A second live lead with it is refused (409), and an erased person."""

    async def write(session: "Session") -> str:
        await require_not_erased(session, visitor(request), email=lead.email, phone=lead.phone)
        made = uuid4()
        values = [
            ("id", sql.Placeholder("id"), made),
            ("organization_id", sql.Placeholder("organization_id"), visitor(request).organization_id),
            *_values(lead, lead.model_fields_set),
        ]
        statement = sql.SQL("INSERT INTO crm.leads ({}) VALUES ({})").format(
            sql.SQL(", ").join(sql.Identifier(name) for name, _, _ in values),
            sql.SQL(", ").join(place for _, place, _ in values),
        )
        await session.execute(statement, {name: value for name, _, value in values})
        return str(made)

    return await once(request, write, lambda session, made: _answer(session, request, made, 201))


@routes.get("/{lead_id}")
@needs(Right.LEADS_READ)
async def read_lead(request: Request, lead_id: UUID) -> Response:
    """Read a lead, with its ETag."""
    async with request.app.state.pool.acting(CRM_APP, visitor(request), reads=True) as session:
        return await _answer(session, request, str(lead_id))


@routes.patch("/{lead_id}")
@needs(Right.LEADS_WRITE)
async def change_lead(request: Request, lead_id: UUID, change: LeadChange) -> Response:
    """Change what is named of a lead; with If-Match only the lead that was read (else 412)."""
    etag, named = _etag(request), change.model_fields_set
    if not named:
        raise Refusal(422, "The body names nothing to change.")

    async def write(session: "Session") -> str:
        await require_not_erased(session, visitor(request), email=change.email, phone=change.phone)
        now = await lead_now(session, lead_id)
        values = [*_values(change, named)]
        changes = (sql.SQL("{} = {}").format(sql.Identifier(name), place) for name, place, _ in values)
        statement = sql.SQL(CHANGE).format(sql.SQL(", ").join(changes))
        given = {name: value for name, _, value in values} | {"id": now, "etag": etag}
        await _made_or_refused(session, await (await session.execute(statement, given)).fetchone(), now)
        return str(now)

    return await once(request, write, lambda session, changed: _answer(session, request, changed, asked=lead_id))


@routes.delete("/{lead_id}", status_code=204)
@needs(Right.LEADS_DELETE)
async def delete_lead(request: Request, lead_id: UUID) -> Response:
    """Delete a lead softly; with If-Match only the lead that was read (else 412)."""
    etag = _etag(request)

    async def write(session: "Session") -> str:
        given = {"id": lead_id, "etag": etag}
        made = await (await session.execute(query("api_delete_lead"), given)).fetchone()
        await _made_or_refused(session, made, lead_id)
        return str(lead_id)

    async def show(session: "Session", deleted: str) -> Response:
        return Response(status_code=204)

    return await once(request, write, show)


async def _made_or_refused(session: "Session", made: Any, lead_id: UUID) -> None:
    """Raise ``Refusal`` for a change that found no row: of no such lead, or of one that others have changed."""
    if made is not None:
        return
    found = await session.execute("SELECT FROM crm.leads WHERE id = %s AND deleted_at IS NULL", [lead_id])
    if await found.fetchone() is None:
        raise Refusal(404, "There is no such lead.")
    raise Refusal(412, "The lead was changed since it was read. Read it again.")

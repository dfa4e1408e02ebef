"""Rows of a table, by its key: those of the schema ``masked``, or in clear for who may, which is logged.

Only what analysts may read is there, and it is read as they read it, as ``warehouse_read_masked`` or
``warehouse_read``, in a transaction that writes nothing and ends after five seconds. Numbers of exact kinds and times
come as texts, since no number of JSON holds them all; a JSON value comes as it is. ``browsing`` composes what is asked.
"""

from typing import Annotated

from fastapi import Query, Request
from fastapi.responses import Response

from warehouse_pipelines.serving import guard
from warehouse_pipelines.serving.api.answers import MOST, reply
from warehouse_pipelines.serving.browsing.filters import own_rows
from warehouse_pipelines.serving.browsing.rows import Wanted, read_page, read_position, write_position
from warehouse_pipelines.serving.guard import visitor
from warehouse_pipelines.serving.problems import Refusal
from warehouse_pipelines.serving.rights import Right, needs

routes = guard.router("/api", tags=["warehouse"], in_schema=True)


@routes.get("/tables/{table}")
@needs(Right.DATA_READ)
async def read_table(
    request: Request,
    table: str,
    limit: Annotated[int, Query(ge=1, le=MOST)] = 100,
    cursor: Annotated[str | None, Query(max_length=4000, description="`next` of the page before.")] = None,
    clear: Annotated[bool, Query(description="Personal columns in clear; takes personal.read.")] = False,
) -> Response:
    """Read rows in the order of the key, with the columns' types and meanings, and about how many rows there are."""
    who = visitor(request)
    if clear and not who.sees_personal_data:
        raise Refusal(403, f"Personal data in clear take the right {Right.PERSONAL_READ}.")
    found = await request.app.state.catalogue.table(table, clear=clear, of_all=who.sees_all_organizations)
    order = found.order()
    own = own_rows(found, who.organization_id, request.app.state.zone)
    position = read_position(cursor, order) if cursor and order else None
    wanted = Wanted(size=limit, order=order, position=position, filters=own)
    pool = request.app.state.pool
    if clear:
        await pool.note_clear_view(who, found.relation, "list")
    async with pool.reading(who, clear=clear) as session:
        page = await read_page(session, found, wanted)
    fields = [{"name": one.name, "type": one.type, "meaning": one.meaning} for one in found.columns]
    return reply({
        "items": page.rows, "next": write_position(page.after), "fields": fields,
        # Only where nothing has an order to go on by.
        "truncated": page.walked is not None and page.after is None,
        # Else it would be how many other organizations have.
        "total_estimate": None if found.is_of_organization or found.has_rows_of_others else found.rows,
    })  # fmt: skip

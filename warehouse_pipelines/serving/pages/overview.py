"""The first page: how every CRM and entity does, and what needs a person."""

from fastapi import Request
from fastapi.responses import Response

from warehouse_pipelines.errors import masked
from warehouse_pipelines.observability.redaction import redacted
from warehouse_pipelines.queries import query
from warehouse_pipelines.serving import guard
from warehouse_pipelines.serving.pages.render import render
from warehouse_pipelines.serving.pages.standing import KINDS
from warehouse_pipelines.serving.rights import Right, needs

routes = guard.router()


@routes.get("/")
@needs(Right.STATUS_READ)
async def show_overview(request: Request) -> Response:
    """Show how every CRM does: the one sentence first, then what needs a person, then all of it."""
    crms = await request.app.state.standings.now()
    async with request.app.state.pool.session() as session:
        alerts = await (await session.execute(query("pages_alerts"))).fetchall()
    judged = [crm for crm in crms if crm.judged]
    entities = [one for crm in judged for one in crm.entities]
    return render(
        request, "overview.html", crms=judged, alerts=alerts, entities=entities,
        absent=[crm.source for crm in crms if not crm.judged],
        ill=[one for one in entities if one.health.problems],
        unusable={one.source.title: one.health.settings_problem for one in entities if one.health.settings_problem},
        pending=sum(one.health.pending for one in entities),
        kinds=KINDS, shown=lambda error: redacted(masked(error)),
    )  # fmt: skip

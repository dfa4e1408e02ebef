"""Funnel and return on sources, as the functions of ``crm`` count them for the visitor's organization."""

from datetime import date
from typing import Annotated

from fastapi import Query, Request
from fastapi.responses import Response
from pydantic import AwareDatetime

from warehouse_pipelines.serving import guard
from warehouse_pipelines.serving.api.answers import reply
from warehouse_pipelines.serving.database import CRM_APP
from warehouse_pipelines.serving.guard import visitor
from warehouse_pipelines.serving.problems import Refusal
from warehouse_pipelines.serving.rights import Right, needs

routes = guard.router("/api/analytics", tags=["analytics"], in_schema=True)

FUNNEL = """
    SELECT status, entries, leads, extract(epoch FROM average_time_before)::float8 AS average_seconds_before
    FROM crm.funnel(coalesce(%s::timestamptz, '-infinity'), coalesce(%s::timestamptz, 'infinity'))
"""
ROI = "SELECT * FROM crm.source_roi(coalesce(%s::date, '-infinity'), coalesce(%s::date, 'infinity'))"


@routes.get("/funnel")
@needs(Right.ANALYTICS_READ)
async def funnel(
    request: Request,
    since: Annotated[AwareDatetime | None, Query(description="The first moment; default all.")] = None,
    until: Annotated[AwareDatetime | None, Query(description="The first moment that does not count.")] = None,
) -> Response:
    """Tell how often each status was entered, by how many leads, and after how many seconds on average."""
    async with request.app.state.pool.acting(CRM_APP, visitor(request), reads=True) as session:
        rows = await (await session.execute(FUNNEL, [since, until])).fetchall()
    return reply({"items": rows})


@routes.get("/roi")
@needs(Right.ANALYTICS_READ)
async def roi(
    request: Request,
    first_month: Annotated[date | None, Query(description="By its first day; default all.")] = None,
    last_month: Annotated[date | None, Query(description="By its first day; it is included.")] = None,
) -> Response:
    """Tell what each source cost and brought."""
    if any(month is not None and month.day != 1 for month in (first_month, last_month)):
        raise Refusal(422, "A month is given by its first day, such as 2025-01-01.")
    async with request.app.state.pool.acting(CRM_APP, visitor(request), reads=True) as session:
        rows = await (await session.execute(ROI, [first_month, last_month])).fetchall()
    return reply({"items": rows})

"""What is synced, how it goes, and the tables it fills.

CRMs and entities are those that the program declares. How they do is asked of the health query that `warehouse status`
asks, at most every ``KEPT_SECONDS``: it takes longer than all else here, and many may look at a time. Rows of a small
table are counted, those of a large one taken from the planner's statistics (``schema.row_counts``).
"""

import asyncio
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from fastapi import Query, Request
from fastapi.responses import Response

from warehouse_pipelines.model.describe import duration
from warehouse_pipelines.model.source import Source
from warehouse_pipelines.observability.health import STATUS, Health, judge
from warehouse_pipelines.queries import query
from warehouse_pipelines.schema.row_counts import COUNTED_BYTES, counting
from warehouse_pipelines.serving import guard
from warehouse_pipelines.serving.api.answers import MOST, reply
from warehouse_pipelines.serving.guard import visitor
from warehouse_pipelines.serving.kept import Kept
from warehouse_pipelines.serving.problems import Refusal
from warehouse_pipelines.serving.rights import Right, needs
from warehouse_pipelines.sources import SOURCES

routes = guard.router("/api", tags=["warehouse"], in_schema=True)

KEPT_SECONDS = 5.0

LARGEST_ID = 2**63 - 1


Healths = Mapping[tuple[str, str], Health]


def health_kept(url: str) -> Kept[Healths]:
    """Return the health of all entities by CRM and entity, as `warehouse status` judges it; kept for a moment."""

    async def ask() -> Healths:
        found = await asyncio.to_thread(judge, SOURCES, url=url, rules=STATUS)
        return {(one.crm, one.sync_type): one for one in found}

    return Kept(ask, KEPT_SECONDS)


def source_named(crm: str) -> Source:
    """Return a source. Raises ``Refusal``."""
    for source in SOURCES:
        if source.name == crm:
            return source
    raise Refusal(404, f"There is no such CRM. There are: {', '.join(source.name for source in SOURCES)}.")


@routes.get("/crms")
@needs(Right.STATUS_READ)
async def list_crms(request: Request) -> Response:
    """List the CRMs, with how many of their entities are well."""
    standing = await request.app.state.health.now()
    items = []
    for source in SOURCES:
        entities = [standing[source.name, entity.name] for entity in source.entities]
        starts = [one.started_at for one in entities if one.started_at]
        items.append({
            "name": source.name, "title": source.title, "transport": source.transport,
            "configured": all(one.judged for one in entities), "entities": len(entities),
            "unhealthy": sum(not one.healthy for one in entities), "last_started_at": max(starts, default=None),
            "dead_letters": sum(one.pending for one in entities),
        })  # fmt: skip
    return reply({"items": items})


@routes.get("/crms/{crm}/entities")
@routes.get("/crms/{crm}/models", include_in_schema=False)
@needs(Right.STATUS_READ)
async def list_entities(request: Request, crm: str) -> Response:
    """List the entities of a CRM, with their last run, problems and rows.

    `row_count` is counted for small tables; of large ones it is PostgreSQL's estimate, null before there is any.
    """
    source = source_named(crm)
    standing = await request.app.state.health.now()
    async with request.app.state.pool.session(visitor(request), reads=True) as session:
        asked = {"tables": [entity.table for entity in source.entities], "counted_bytes": COUNTED_BYTES}
        known = await (await session.execute(query("api_row_counts"), asked)).fetchall()
        rows = {row["name"]: row["rows"] for row in known}
        if small := [row["name"] for row in known if row["small"]]:
            cursor = await session.execute(counting(small))
            rows |= {row["name"]: row["rows"] for row in await cursor.fetchall()}
    items = []
    for entity in source.entities:
        one = standing[source.name, entity.name]
        items.append({
            "name": entity.name, "table": entity.table, "about": entity.about, "every": duration(entity.cadence.every),
            "row_count": rows[entity.table], "configured": one.judged, "healthy": one.healthy,
            "problems": list(one.problems), "last_status": one.status, "last_started_at": one.started_at,
            "last_seconds": one.seconds, "created": one.created, "updated": one.updated, "failed": one.failed,
            "dead_letters": one.pending,
        })  # fmt: skip
    return reply({"items": items})


@routes.get("/sync-history")
@needs(Right.STATUS_READ)
async def list_history(
    request: Request,
    crm: Annotated[str | None, Query(max_length=50)] = None,
    entity: Annotated[str | None, Query(max_length=100)] = None,
    status: Literal["running", "success", "partial", "failed", "cancelled"] | None = None,
    limit: Annotated[int, Query(ge=1, le=MOST)] = 100,
    before: Annotated[int, Query(ge=1, le=LARGEST_ID, description="`next` of the page before.")] = LARGEST_ID,
) -> Response:
    """List syncs, the newest first."""
    given = {"crm": crm, "entity": entity, "status": status, "before": before, "size": limit + 1}
    async with request.app.state.pool.session(visitor(request), reads=True) as session:
        found = await (await session.execute(query("api_history"), given)).fetchall()
    page = found[:limit]
    return reply({"items": page, "next": page[-1]["id"] if len(found) > limit else None})


@routes.get("/schedules")
@needs(Right.STATUS_READ)
async def list_schedules(request: Request) -> Response:
    """List what is synced by schedule: what a run reads (`mode`), when, and whether it is switched on.

    A row has an interval, as `every` and `period`, or a `crontab` in the time zone of the business. `dagster_status`
    says whether Dagster asks for it, `problem` why it cannot be run.
    """
    async with request.app.state.pool.session(visitor(request), reads=True) as session:
        rows: list[dict[str, Any]] = await (await session.execute(query("api_schedules"))).fetchall()
    return reply({"items": rows})

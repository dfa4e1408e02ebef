"""What is synced by schedule: what runs in the next 24 hours, when each entity was asked for, and its switch.

The switch is the one of `warehouse schedule`. When a schedule is due next is what Dagster's daemon has written; from
then on it is counted by the interval. A crontab has only its next time here.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from fastapi import Request
from fastapi.responses import RedirectResponse, Response

from warehouse_pipelines import warehouse
from warehouse_pipelines.loading import sync_schedule
from warehouse_pipelines.model.describe import every
from warehouse_pipelines.serving import guard
from warehouse_pipelines.serving.guard import form
from warehouse_pipelines.serving.pages.render import render
from warehouse_pipelines.serving.pages.runs import source_of
from warehouse_pipelines.serving.problems import Refusal
from warehouse_pipelines.serving.rights import Right, needs
from warehouse_pipelines.sources import SOURCES

routes = guard.router()

HOURS = 24


@dataclass(frozen=True)
class Schedule:
    """A row of the table, with what is said of it. ``off`` says why it asks for nothing; empty where it does."""

    row: Mapping[str, Any]
    recurrence: str
    off: str
    switchable: bool


@dataclass(frozen=True)
class Plan:
    """What runs at the same times: entities of a CRM, and the times by hour from now on."""

    title: str
    recurrence: str
    entities: Sequence[str]
    hours: Sequence[Sequence[datetime]]


@routes.get("/schedules")
@needs(Right.STATUS_READ)
async def list_schedules(request: Request) -> Response:
    """Show what runs when, and the switches."""
    now, zone = datetime.now(UTC), request.app.state.zone
    async with request.app.state.pool.session() as session:
        cursor = await session.execute("SELECT * FROM orchestration.sync_schedule ORDER BY crm_source, id")
        rows = await cursor.fetchall()
    configured = {crm.source.name for crm in await request.app.state.standings.now() if crm.judged}
    found = [_schedule(row, configured) for row in rows if source_of(row["crm_source"])]
    begin = now.astimezone(zone).replace(minute=0, second=0, microsecond=0)
    return render(
        request, "schedules.html", plans=plans(found, begin, now),
        begin=[begin + timedelta(hours=hour) for hour in range(HOURS)],
        crms=[(source, [one for one in found if one.row["crm_source"] == source.name], source.name in configured)
              for source in SOURCES],
        on=sum(not one.off for one in found), total=len(found),
        unknown=not any(one.row["next_run"] for one in found),
    )  # fmt: skip


def _schedule(row: Mapping[str, Any], configured: set[str]) -> Schedule:
    span = interval(row)
    off = "switched off" if not row["enabled"] else ""
    if not off and row["dagster_status"] == "stopped":
        off = "stopped in Dagster"
    if row["crm_source"] not in configured:
        off = "not configured"
    return Schedule(
        row, every(span) if span else f"crontab {sync_schedule.crontab(row)}", off,
        bool(row["declared"] or row["mode"] != "delta"),
    )  # fmt: skip


def interval(row: Mapping[str, Any]) -> timedelta | None:
    """Return how far apart the times of a row are; None of a crontab."""
    return timedelta(**{row["period"]: row["every"]}) if row["recurrence_type"] == "interval" else None


def plans(found: Sequence[Schedule], begin: datetime, now: datetime) -> list[Plan]:
    """Return what runs within the 24 hours from ``begin``, the soonest first; equal times of a CRM are one."""
    groups: dict[tuple[str, str, str, datetime], list[str]] = {}
    for one in found:
        if not one.off and one.row["next_run"] is not None:
            key = one.row["crm_source"], one.row["mode"], one.recurrence, one.row["next_run"]
            groups.setdefault(key, []).append(one.row["model_name"])
    spans = {(one.row["crm_source"], one.row["mode"], one.recurrence): interval(one.row) for one in found}
    made = []
    for (crm, mode, recurrence, next_at), entities in groups.items():
        times = occurrences(next_at, spans[crm, mode, recurrence], now, begin + timedelta(hours=HOURS))
        hours = [[at for at in times if (at - begin) // timedelta(hours=1) == hour] for hour in range(HOURS)]
        source = source_of(crm)
        said = recurrence if mode == "delta" else f"{recurrence}, {mode}"
        if times:
            made.append((times[0], Plan(source.title if source else crm, said, sorted(entities), hours)))
    return [plan for _, plan in sorted(made, key=lambda one: (one[0], one[1].title))]


def occurrences(next_at: datetime, span: timedelta | None, now: datetime, until: datetime) -> list[datetime]:
    """Return the times from now on, which are ``span`` apart; the first may be overdue."""
    if span is None:
        return [next_at] if now - timedelta(minutes=5) <= next_at < until else []
    if next_at < now:
        next_at += span * -(-(now - next_at) // span)
    times = []
    while next_at < until:
        times.append(next_at)
        next_at += span
    return times


@routes.post("/schedules")
@needs(Right.SCHEDULES_WRITE)
async def switch_schedule(request: Request) -> Response:
    """Switch the schedule of an entity, or those of all entities of a CRM, on or off."""
    sent = form(request)
    source = source_of(str(sent.get("crm", "")))
    if source is None:
        raise Refusal(404, "There is no such CRM.")
    name, mode, to = (*str(sent.get("switch", "")).split(" "), "", "", "")[:3]
    entity = next((one for one in source.entities if one.name == name), None)
    if (entity is None and name != "all") or mode not in sync_schedule.MODES or to not in ("on", "off"):
        raise Refusal(422, "Say which entity, which mode, and on or off.")

    def switch() -> None:
        with warehouse.session(request.app.state.url) as connection:
            sync_schedule.switch(connection, source, entity, on=to == "on", modes=[mode])

    await asyncio.to_thread(switch)
    return RedirectResponse(f"/schedules?{urlencode({'crm': source.name})}#{source.name}", status_code=303)

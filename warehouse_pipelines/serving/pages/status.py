"""The status page, for everybody in the house, signed in or not: is each CRM up to date, and was it, for 90 days.

    GET /status        the page
    GET /status.json   the same for programs

An entity that is switched off is left out while others of its CRM are on. A CRM that is switched off as a whole, or
stopped in Dagster, is not up to date either once its data is older than its target.

Whoever reaches ``serve`` may see it, so it says nothing of people and repeats no error. All that is shown is kept: what
is now for seconds, the days before today for an hour. However often strangers ask, the warehouse is asked that often.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from fastapi import Request
from fastapi.responses import Response

from warehouse_pipelines.queries import query
from warehouse_pipelines.serving import guard
from warehouse_pipelines.serving.api.answers import reply
from warehouse_pipelines.serving.database import Pool
from warehouse_pipelines.serving.kept import Kept
from warehouse_pipelines.serving.pages.render import render
from warehouse_pipelines.serving.pages.standing import CrmStanding, EntityStanding
from warehouse_pipelines.serving.rights import everyone
from warehouse_pipelines.sources import SOURCES

routes = guard.router()

DAYS = 90
KEPT_SECONDS = 10.0
PAST_KEPT_SECONDS = 3600.0

REASONS = {
    "late": "late",
    "off": "switched off",
    "stopped": "stopped in Dagster",
    "unset": "without settings that can be used",
}
"""Why a CRM is not up to date, by its status."""

Counts = Mapping[tuple[str, date], Mapping[str, Any]]


@dataclass(frozen=True)
class Day:
    """How the runs of a CRM ended on a day."""

    day: date
    runs: int
    failed: int
    kind: str

    @property
    def text(self) -> str:
        """The day in words."""
        ended = f"{self.runs:,} runs, {self.failed:,} failed" if self.runs else "no run"
        return f"{self.day:%-d %b}: {ended}"


@dataclass(frozen=True)
class CrmStatus:
    """How a CRM does. ``behind`` is the entity whose last good run is oldest, measured by its cadence.

    ``status`` is ``ok`` while it is up to date; else ``unset`` where its settings cannot be used, ``off`` where it is
    switched off, ``stopped`` where Dagster's schedules of what is late are, or ``late``.
    """

    name: str
    title: str
    status: str
    kind: str
    said: str
    good_at: datetime | None
    entities: int
    late: int
    behind: EntityStanding | None
    days: Sequence[Day]
    alerts: int


@dataclass(frozen=True)
class Status:
    """How the house does at a moment. Alerts have a severity, a title, CRMs and since when."""

    at: datetime
    crms: Sequence[CrmStatus]
    absent: Sequence[str]
    alerts: Sequence[Mapping[str, Any]]

    @property
    def late(self) -> Sequence[CrmStatus]:
        """The CRMs that are not up to date."""
        return [crm for crm in self.crms if crm.status != "ok"]

    @property
    def reasons(self) -> Sequence[str]:
        """Of the CRMs that are not up to date, why, by reason."""
        late = {why: [crm.title for crm in self.late if crm.status == status] for status, why in REASONS.items()}
        return [
            f"{', '.join(titles)} {'is' if len(titles) == 1 else 'are'} {why}" for why, titles in late.items() if titles
        ]


def status_kept(pool: Pool, standings: Kept[list[CrmStanding]], zone: ZoneInfo) -> Kept[Status]:
    """Return what the page says, kept."""

    async def days(since: date, until: date) -> Counts:
        values = {"since": _midnight(since, zone), "until": _midnight(until, zone), "zone": zone.key}
        async with pool.session() as session:
            rows = await (await session.execute(query("pages_status_days"), values)).fetchall()
        return {(row["crm"], row["day"]): row for row in rows}

    async def past() -> tuple[date, Counts]:
        today = datetime.now(zone).date()
        return today, await days(today - timedelta(days=DAYS - 1), today)

    past_kept = Kept(past, PAST_KEPT_SECONDS)

    async def ask() -> Status:
        now = datetime.now(UTC)
        upto, before = await past_kept.now()
        today = now.astimezone(zone).date()
        counts = {**before, **await days(upto, today + timedelta(days=1))}
        async with pool.session() as session:
            alerts = await (await session.execute(query("pages_alerts"))).fetchall()
        found = await standings.now()
        return Status(
            now,
            [_crm(crm, counts, today, now, alerts) for crm in found if crm.judged],
            [crm.source.title for crm in found if not crm.judged],
            [_alert(alert) for alert in alerts],
        )

    return Kept(ask, KEPT_SECONDS)


def _midnight(day: date, zone: ZoneInfo) -> datetime:
    return datetime.combine(day, time(), zone)


def _crm(
    crm: CrmStanding, counts: Counts, today: date, now: datetime, alerts: Sequence[Mapping[str, Any]]
) -> CrmStatus:
    on = [one for one in crm.entities if one.enabled]
    due = on or crm.entities
    late = [one for one in due if one.late(now)]
    status = _status(crm, late, on=bool(on))
    waiting = [one for one in due if one.good_at is None]
    behind = waiting[0] if waiting else max(due, key=lambda one: one.freshness(now) or 0, default=None)
    said = f"{len(late)} of {len(due)} late" if late else "up to date"
    if status in ("unset", "stopped") or not on:
        said = f"{REASONS['off' if not on else status]}, {said}"
    whole = len(late) == len(due) or status == "unset"
    return CrmStatus(
        name=crm.source.name, title=crm.source.title, status=status, good_at=crm.good_at, entities=len(crm.entities),
        late=len(late), kind="good" if status == "ok" else "bad" if whole else "warning", said=said, behind=behind,
        days=[_day(counts, crm.source.name, today - timedelta(days=ago)) for ago in range(DAYS - 1, -1, -1)],
        alerts=sum(crm.source.name in alert["crms"] for alert in alerts),
    )  # fmt: skip


def _status(crm: CrmStanding, late: Sequence[EntityStanding], *, on: bool) -> str:
    if any(one.health.settings_problem for one in crm.entities):
        return "unset"
    if not late:
        return "ok"
    if not on:
        return "off"
    return "stopped" if all(one.scheduled for one in late) else "late"


def _day(counts: Counts, crm: str, day: date) -> Day:
    row = counts.get((crm, day))
    if row is None or not row["runs"]:
        return Day(day, 0, 0, "quiet")
    kind = "good" if not row["failed"] else "warning" if row["good"] else "bad"
    return Day(day, row["runs"], row["failed"], kind)


def _alert(alert: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what everybody may know of an incident: the names of CRMs are those that are declared."""
    titles = [source.title for source in SOURCES if source.name in alert["crms"]]
    return {
        "severity": alert["severity"], "title": alert["title"], "since": alert["opened_at"], "crms": titles,
        "acknowledged": alert["acknowledged"],
    }  # fmt: skip


@routes.get("/status")
@everyone
async def show_status(request: Request) -> Response:
    """Show whether each CRM is up to date."""
    return render(request, "status.html", house=await request.app.state.status.now(), shown_days=DAYS)


@routes.get("/status.json")
@everyone
async def status_json(request: Request) -> Response:
    """Tell programs whether each CRM is up to date."""
    status: Status = await request.app.state.status.now()
    return reply({
        "status": "late" if status.late else "ok", "at": status.at, "alerts": status.alerts,
        "crms": [
            {
                "name": crm.name, "title": crm.title, "status": crm.status,
                "entities": crm.entities, "late": crm.late, "last_good_at": crm.good_at,
                **_behind(crm.behind, status.at),
                "days": [{"day": one.day, "runs": one.runs, "failed": one.failed} for one in crm.days],
            }
            for crm in status.crms
        ],
        "not_configured": status.absent,
    })  # fmt: skip


def _behind(one: EntityStanding | None, now: datetime) -> dict[str, Any]:
    """Return the age of the oldest of the last good runs, and what it should be at most."""
    if one is None:
        return {"oldest_entity": None, "oldest_age_seconds": None, "target_seconds": None}
    age = None if one.good_at is None else round((now - one.good_at).total_seconds())
    return {
        "oldest_entity": one.entity.name, "oldest_age_seconds": age, "target_seconds": round(one.target.total_seconds())
    }  # fmt: skip

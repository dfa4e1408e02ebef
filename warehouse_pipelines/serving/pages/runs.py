"""The history of syncs: a list with filters and charts, the page of a run, and forms that run and cancel a sync.

A page of the list ends where the next begins, by the id of a run: going on costs the same however far one goes. Errors
are masked, for whoever may see how syncs do need not see personal data.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode
from uuid import UUID

from fastapi import Request
from fastapi.responses import RedirectResponse, Response
from pydantic import ValidationError

from warehouse_pipelines.errors import masked
from warehouse_pipelines.model.source import Source
from warehouse_pipelines.observability.redaction import redacted
from warehouse_pipelines.queries import query
from warehouse_pipelines.serving import guard
from warehouse_pipelines.serving.api import syncs
from warehouse_pipelines.serving.api.bodies import NewSync
from warehouse_pipelines.serving.api.crms import LARGEST_ID
from warehouse_pipelines.serving.guard import form, visitor
from warehouse_pipelines.serving.pages.render import render
from warehouse_pipelines.serving.pages.standing import KINDS
from warehouse_pipelines.serving.problems import Refusal
from warehouse_pipelines.serving.rights import Right, needs
from warehouse_pipelines.sources import SOURCES

if TYPE_CHECKING:
    from warehouse_pipelines.serving.database import Session

routes = guard.router()

PAGE = 50
WIDTHS = {1: timedelta(hours=1), 7: timedelta(hours=6), 30: timedelta(days=1), 90: timedelta(days=1)}
"""Over how many days one may look, and the span of time that a point of the charts sums up."""
MODES = ("delta", "full", "backfill", "replay", "webhook", "refused")
ANY = ("crm", "entity", "status", "mode")


@dataclass(frozen=True)
class Filters:
    """What is chosen; None for any."""

    crm: str | None
    entity: str | None
    status: str | None
    mode: str | None
    days: int

    @classmethod
    def of(cls, request: Request) -> "Filters":
        """Read them from an address. Raises ``Refusal`` for a value that there is not."""
        given = request.query_params
        crm = chosen(given.get("crm"), (source.name for source in SOURCES))
        return cls(
            crm, chosen(given.get("entity"), entities_of(crm)), chosen(given.get("status"), KINDS),
            chosen(given.get("mode"), MODES), int(chosen(given.get("days"), map(str, WIDTHS)) or 7),
        )  # fmt: skip

    def address(self, path: str = "/runs", **more: object) -> str:
        """Return an address with these filters."""
        words = {name: value for name in (*ANY, "days") if (value := getattr(self, name)) is not None}
        return f"{path}?{urlencode({**words, **more})}"

    def values(self, zone: Any, now: datetime) -> dict[str, Any]:
        """Return the parameters of the queries; the spans of time begin at midnight."""
        midnight = now.astimezone(zone).replace(hour=0, minute=0, second=0, microsecond=0)
        since = now - timedelta(days=1) if self.days == 1 else midnight - timedelta(days=self.days - 1)
        return {
            **{name: getattr(self, name) for name in ANY}, "width": WIDTHS[self.days],
            "since": since.replace(minute=0, second=0, microsecond=0),
        }  # fmt: skip


def chosen(given: str | None, among: Iterable[str]) -> str | None:
    """Return a word of a form if it is one that may be chosen, None for none. Raises ``Refusal``."""
    if not given:
        return None
    if given not in among:
        raise Refusal(422, "There is nothing by this filter. Choose one of those that the page offers.")
    return given


def entities_of(crm: str | None) -> list[str]:
    """Return the names of the entities of a CRM, or of all."""
    return sorted({one.name for source in SOURCES if crm in (None, source.name) for one in source.entities})


def number_of(text: str, what: str) -> int:
    """Return the id in an address. Raises ``Refusal`` for what is none."""
    if not (text.isascii() and text.isdecimal() and len(text) < 20 and 0 < int(text) <= LARGEST_ID):
        raise Refusal(404, f"There is no such {what}.")
    return int(text)


def links_to_dagster(run_id: str | None) -> bool:
    """Whether this is the id of a run in Dagster."""
    try:
        return run_id is not None and str(UUID(run_id)) == run_id
    except ValueError:
        return False


@routes.get("/runs")
@needs(Right.STATUS_READ)
async def list_runs(request: Request) -> Response:
    """Show runs, the newest first, and charts of all that the filters choose."""
    filters, now = Filters.of(request), datetime.now(UTC)
    before = number_of(request.query_params.get("before", str(LARGEST_ID)), "page")
    values = filters.values(request.app.state.zone, now)
    async with request.app.state.pool.session(visitor(request), reads=True) as session:
        found = await _rows(session, "pages_runs", {**values, "before": before, "size": PAGE + 1})
        sums = await _rows(session, "pages_run_sums", values) if before == LARGEST_ID else []
    runs = found[:PAGE]
    asked = request.query_params.get("asked")
    return render(
        request, "runs.html", filters=filters, runs=runs, sums=sums, sources=SOURCES, modes=MODES, kinds=KINDS,
        days=[*WIDTHS], width=values["width"], entities=entities_of(filters.crm), later=before != LARGEST_ID,
        following=filters.address(before=runs[-1]["id"]) if len(found) > PAGE else None,
        asked=asked if links_to_dagster(asked) else None,
        total={name: sum(row[name] for row in sums) for name in ("runs", "records", "failed", "partial", "api_calls")},
    )  # fmt: skip


async def _rows(session: "Session", name: str, values: dict[str, Any]) -> list[dict[str, Any]]:
    statement = {"pages_runs": query("pages_runs"), "pages_run_sums": query("pages_run_sums")}[name]
    return await (await session.execute(statement, values)).fetchall()


@routes.post("/runs")
@needs(Right.SYNCS_RUN)
async def run_sync(request: Request) -> Response:
    """Ask Dagster for a sync; the list of the entity's runs shows it when it begins."""
    sent = form(request)
    crm, _, entity = str(sent.get("what", "")).partition(" ")
    try:
        wanted = NewSync(crm=crm, entity=entity, full=sent.get("full") == "on", dry_run=sent.get("dry_run") == "on")
    except ValidationError:
        raise Refusal(422, "Choose what to sync.") from None
    job, config = syncs.job_of(wanted)
    run_id = await request.app.state.dagster.launch(job, config, {syncs.TAG: str(visitor(request).user_id)})
    words = {"crm": crm, **({} if entity == "all" else {"entity": entity}), "asked": run_id}
    return RedirectResponse(f"/runs?{urlencode(words)}", status_code=303)


async def _run(request: Request, given: str) -> dict[str, Any]:
    """Return a run. Raises ``Refusal``."""
    async with request.app.state.pool.session(visitor(request), reads=True) as session:
        row: dict[str, Any] | None = await (
            await session.execute(query("pages_run"), {"id": number_of(given, "run")})
        ).fetchone()
    if row is None:
        raise Refusal(404, "There is no such run.")
    return row


@routes.get("/runs/{history_id}")
@needs(Right.STATUS_READ)
async def show_run(request: Request, history_id: str) -> Response:
    """Show a run: what became of its records, where its time went, what it asked for."""
    run = await _run(request, history_id)
    async with request.app.state.pool.session(visitor(request), reads=True) as session:
        cursor = await session.execute(query("pages_run_dead_letters"), {"id": run["id"]})
        dead_letters = await cursor.fetchall()
    said = run["error_message"] or run["metrics"].get("partial_reason")
    return render(
        request, "run.html", run=run, title=source_title(run["crm"]), kinds=KINDS, dead_letters=dead_letters,
        counts=counts(run), times=times(run), said=redacted(masked(str(said), 2000)) if said else None,
        lost=sorted(run["metrics"].get("values_lost", {}).items()), config=run["configuration"],
        window=[moment(run["configuration"].get(f"window_{end}")) for end in ("start", "end")],
        watermark=moment(run["configuration"].get("cursor")),
        previous=moment(run["configuration"].get("previous_cursor")),
        in_dagster=links_to_dagster(run["run_id"]),
    )  # fmt: skip


@routes.post("/runs/{history_id}/cancel")
@needs(Right.SYNCS_RUN)
async def cancel_run(request: Request, history_id: str) -> Response:
    """Ask Dagster for the end of a run. Nothing of what it reads is loaded then."""
    run = await _run(request, history_id)
    if not links_to_dagster(run["run_id"]) or not await request.app.state.dagster.cancel(run["run_id"]):
        raise Refusal(409, "Dagster has no such run that could be ended. It may have ended by itself.")
    return RedirectResponse(f"/runs/{run['id']}", status_code=303)


def source_title(crm: str) -> str:
    """Return what a CRM is called by people."""
    return next((source.title for source in SOURCES if source.name == crm), crm)


def source_of(crm: str) -> Source | None:
    """Return a source; None for one that is no longer declared."""
    return next((source for source in SOURCES if source.name == crm), None)


def moment(value: Any) -> datetime | None:
    """Return a time of a configuration; None where none is written."""
    try:
        return datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None


def counts(run: dict[str, Any]) -> list[tuple[str, int, str]]:
    """Return what became of the records that were read: words, how many, how it is shown. They add up."""
    metrics = run["metrics"]
    return [
        ("created", run["records_created"], "series-0"),
        ("updated", run["records_updated"], "series-3"),
        ("unchanged", int(metrics.get("unchanged") or 0), "quiet"),
        ("left out", int(metrics.get("filtered") or 0), "series-2"),
        ("dead letters", run["records_failed"], "bad"),
    ]


def times(run: dict[str, Any]) -> list[tuple[str, float, str]]:
    """Return where the time of a run went: words, seconds, how it is shown. They add up to how long it took."""
    metrics, whole = run["metrics"], max(float(run["seconds"]), 0.0)
    found = [
        ("waiting for the vendor", float(metrics.get("waiting_seconds") or 0), "series-0"),
        ("reading records", float(metrics.get("coercing_seconds") or 0), "series-3"),
        ("loading", float(metrics.get("loading_seconds") or 0), "series-2"),
    ]
    if not any(seconds for _, seconds, _ in found):
        return []
    return [*found, ("everything else", max(0.0, whole - sum(seconds for _, seconds, _ in found)), "quiet")]

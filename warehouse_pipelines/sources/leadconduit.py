"""LeadConduit (ActiveProspect): what happened to each lead on its way through a flow, and what came of it.

The vendor has no list of leads. It has a feed of **events**: one for each step of a flow, then the ``source`` event
with the result; feedback, returns and a second submission come as further events, days later. An event never changes.
The feed is asked for oldest first, from ``start``, which is inclusive, and goes on after the last id, which is
exclusive, until a page is empty: a page may be shorter than asked for.

Deltas begin five minutes before the newest event they know. They ask by the time an event was written, which is later
than its ``start_timestamp``, so late events of a slow step are read although their own time lies before the window.

A **lead** is the fold over its events: of each type the newest by ``start_timestamp``, then by id. The fold begins
with the stored record of the lead, so it may be repeated, and the order of the events does not matter. Its fields are
those of the newest ``source`` event, of the newest event while there is none. ``raw_data`` holds the events as
received, by type, and the values of the columns. A field is a plain value or an object; of an object ``normal`` is
taken, else ``raw``; of a list the first. ``lead_id`` is the key; ``id`` is that of the event with the fields, and
changes with it. A full read keeps its folds in a temporary file. Events without a lead are counted as
``events_without_lead`` in the metrics.

The vendor deletes events that are older than the account's retention, which it does not tell. So a full read proves
nothing of what lies before the oldest event of the feed (``complete_since``): rows from before stay, and a fold takes
its events from before out of the stored record. What is missing from then on was deleted at the vendor.

Where events of a page are out of order, the next page is asked for after the last one that is older than ``DISORDER``,
so that none is missed whether the vendor goes on by place or by id; duplicates are dropped.

Left out: ``/search/leads`` (a thousand results at most), reports, and the dimensions (each event has its names).
Verified against the simulator, and the vendor's documented event; no live account has been read yet.
"""

import base64
import itertools
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import msgspec
from pydantic import SecretStr

from warehouse_pipelines.errors import AnswerChanged, CursorStuck
from warehouse_pipelines.model.cadence import Cadence
from warehouse_pipelines.model.entity import Entity, columns
from warehouse_pipelines.model.reading import Budget, Json, Page, Pages, ReadContext, ReadReport, ReadRequest
from warehouse_pipelines.model.source import Flag, Source
from warehouse_pipelines.settings import FromEnvironment
from warehouse_pipelines.sources._http import Client
from warehouse_pipelines.sources._json import key_of, listed

PER_PAGE = 1_000

DISORDER = 60
"""Seconds by which an event may follow a younger one: several hosts write events, each by its own clock."""

Event = dict[str, Any]


class Settings(FromEnvironment, env_prefix="LEADCONDUIT_"):
    """No limit is published; clients keep to a hundred requests a minute."""

    api_key: SecretStr
    user: str = "API"
    base_url: str = "https://app.leadconduit.com"
    requests_per_minute: int = 100


class Wrapped(msgspec.Struct):
    """One client met the array as the member of an object."""

    data: list[msgspec.Raw] | None


def fetch(request: ReadRequest, context: ReadContext) -> Pages:
    """Yield the events, or the leads that they are folded to."""
    pages = feed(request, context)
    first = list(itertools.islice(pages, 1))
    oldest = _oldest(itertools.chain.from_iterable(first)) if request.full else None
    report = ReadReport(complete_since=None if oldest is None else datetime.fromtimestamp(oldest, UTC))
    if request.entity.path == EVENTS.path:
        for records in itertools.chain(first, pages):
            yield Page(records, in_window=False)
        return report
    folds = Folds(request, context, oldest)
    try:
        for records in itertools.chain(first, pages):
            if odd := folds.add(records):
                yield Page(odd, in_window=False)
            if request.limit and folds.count() >= request.limit:
                break
        for leads in folds.leads():
            yield Page(leads, in_window=False)
    finally:
        folds.close()
    return report


def client(context: ReadContext) -> Client:
    """Return the client of the key in the settings."""
    settings = context.settings(Settings)
    login = f"{settings.user}:{settings.api_key.get_secret_value()}"
    return Client(
        context,
        title="LeadConduit",
        base_url=settings.base_url,
        renew=context.setting("LEADCONDUIT_API_KEY"),
        headers={"Authorization": f"Basic {base64.b64encode(login.encode()).decode()}"},
        budgets=(Budget("minute", settings.requests_per_minute, 60),),
    )


def feed(request: ReadRequest, context: ReadContext) -> Iterator[list[Json]]:
    """Yield the pages of the feed, oldest first.

    Raises ``CursorStuck`` for a feed that repeats or is not sorted, ``AnswerChanged`` for ids without a time.
    """
    http = client(context)
    params = {"sort": "asc", "limit": str(min(request.page_size, PER_PAGE))}
    since, until = request.window
    if since is not None:
        params["start"] = _text(since)
    if request.options.get("backfill"):
        params["end"] = _text(until)
    near: dict[str, int] = {}
    asked_after: set[str] = set()
    newest = 0
    disordered = False
    while True:
        answer = http.get("/events", list[msgspec.Raw] | Wrapped | None, params=params)  # type: ignore[arg-type]
        found = answer.data if isinstance(answer, Wrapped) else answer
        records = listed(found, "LeadConduit: /events", first=not asked_after, last=True)
        if not records:
            return
        keys = list(map(key_of, records))
        seconds = {key: second for key in keys if key and (second := _second(key)) is not None}
        if not seconds:
            raise AnswerChanged(
                "LeadConduit: no event of a page has an id that begins with a time, so none can follow; nothing was "
                "loaded."
            )
        steps = [later - earlier for earlier, later in itertools.pairwise(seconds.values())]
        descending = len(steps) > 1 and max(steps) <= 0 and sum(steps) < -DISORDER
        high = list(itertools.accumulate(seconds.values(), max, initial=newest - DISORDER))
        disordered = disordered or any(second < top for second, top in zip(seconds.values(), high, strict=False))
        newest = max(newest, *high)
        if (
            (near.keys() & seconds.keys() and not disordered)
            or any(second < top - DISORDER for second, top in zip(seconds.values(), high, strict=False))
            or descending
        ):
            raise CursorStuck("LeadConduit: /events repeats events or is not sorted; reading on would never end.")
        yield [bytes(record) for key, record in zip(keys, records, strict=True) if key not in near]
        near = {key: second for key, second in (near | seconds).items() if second >= newest - 2 * DISORDER}
        after = next(reversed(seconds))
        if disordered:
            context.note(events_not_in_order=True)
            settled = (key for key, second in reversed(seconds.items()) if second < newest - DISORDER)
            after = next((key for key in settled if key not in asked_after), after)
        if after in asked_after:
            raise CursorStuck("LeadConduit: /events repeats events; reading on would never end.")
        asked_after.add(after)
        params["after_id"] = after


def _text(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _second(event_id: str) -> int | None:
    """Return the second that an id begins with; None for an id of another form."""
    try:
        return int(event_id[:8], 16)
    except ValueError:
        return None


def _oldest(records: Iterable[Json]) -> int | None:
    """Return the second from which on the feed has all events, by its first page; None for an empty one."""
    keys = (key_of(msgspec.Raw(record)) for record in records)
    seconds = [second for key in keys if key and (second := _second(key)) is not None]
    return min(seconds) + DISORDER if seconds else None


class Folds:
    """The leads whose events were met, in a temporary file: there may be more than memory holds.

    ``oldest`` is the second from which on all events are about to be read, None in a read of what is new.
    """

    def __init__(self, request: ReadRequest, context: ReadContext, oldest: int | None = None) -> None:
        self._table, self._context = request.entity.table, context
        # A reading that stops early does not meet all events of a lead.
        self._oldest = None if request.limit else oldest
        self._file = sqlite3.connect("", check_same_thread=False)
        self._file.execute("PRAGMA journal_mode = OFF")
        self._file.execute("CREATE TABLE fold (lead_id TEXT PRIMARY KEY, events BLOB NOT NULL) WITHOUT ROWID")

    def add(self, records: Iterable[Json]) -> list[Json]:
        """Fold events in; return those that cannot be read."""
        odd = []
        met: dict[str, list[Event]] = {}
        for record in records:
            try:
                event = msgspec.json.decode(record, type=Event)
            except (msgspec.DecodeError, UnicodeDecodeError):
                odd.append(record)
                continue
            lead_id = _inside(event, "vars", "lead", "id")
            if not lead_id:
                self._context.count("events_without_lead")
            else:
                met.setdefault(str(lead_id), []).append(event)
        held = self._held(list(met))
        for lead_id, events in met.items():
            fold(held.setdefault(lead_id, {}), events)
        rows = [(lead_id, msgspec.json.encode(events)) for lead_id, events in held.items()]
        self._file.executemany("INSERT OR REPLACE INTO fold VALUES (?, ?)", rows)
        return odd

    def _held(self, lead_ids: Sequence[str]) -> dict[str, dict[str, Event]]:
        """Return the folds of these leads so far: of this run, else as they are stored."""
        marks = ", ".join("?" * len(lead_ids))
        found = self._file.execute(f"SELECT lead_id, events FROM fold WHERE lead_id IN ({marks})", lead_ids)  # noqa: S608
        held = {lead_id: msgspec.json.decode(events) for lead_id, events in found}
        missing = [lead_id for lead_id in lead_ids if lead_id not in held]
        if missing:
            stored = self._context.known.records(self._table, missing, key="lead_id")
            # Of a lead of an erased person nothing is stored, and nothing will be.
            held |= {lead_id: self._kept(msgspec.json.decode(record)) for lead_id, record in stored.items()}
        return held

    def _kept(self, record: dict[str, Any]) -> dict[str, Event]:
        """Return the events of a stored lead that are not about to be read."""
        events: dict[str, Event] = record.get("events", {})
        if self._oldest is None:
            return events
        return {
            kind: event
            for kind, event in events.items()
            if (second := _second(str(event.get("id")))) is not None and second < self._oldest
        }

    def count(self) -> int:
        """Return how many leads were met."""
        return int(self._file.execute("SELECT count(*) FROM fold").fetchone()[0])

    def leads(self) -> Iterator[list[Json]]:
        """Yield the folded leads."""
        found = self._file.execute("SELECT lead_id, events FROM fold")
        while rows := found.fetchmany(PER_PAGE):
            yield [lead(lead_id, msgspec.json.decode(events)) for lead_id, events in rows]

    def close(self) -> None:
        """Remove the file."""
        self._file.close()


def _inside(value: Any, *path: str) -> Any:
    """Return the member at ``path``, None where there is no such thing."""
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _age(event: Event) -> tuple[int, str]:
    at = event.get("start_timestamp")
    return (int(at) if isinstance(at, int | float) else 0, str(event.get("id", "")))


def fold(newest: dict[str, Event], events: Iterable[Event]) -> None:
    """Put into ``newest`` those of ``events`` that are the newest of their type."""
    for event in events:
        kind = str(event.get("type"))
        if kind not in newest or _age(event) >= _age(newest[kind]):
            newest[kind] = event


def plain(value: Any) -> Any:
    """Return what a field says: ``normal``, else ``raw`` of an object of parts, the first of a list, or itself."""
    if isinstance(value, list):
        value = value[0] if value else None
    if isinstance(value, dict):
        value = value.get("normal") or value.get("raw")
    return value


def lead(lead_id: str, events: dict[str, Event]) -> Json:
    """Return the record of a lead."""
    newest = max(events.values(), key=_age)
    current = events.get("source", newest)
    record = {
        "lead_id": lead_id,
        "event_id": current.get("id"),
        "lead": {name: plain(value) for name, value in current["vars"]["lead"].items()},
        "flow_name": _inside(current, "vars", "flow", "name"),
        "source_name": _inside(current, "vars", "source", "name"),
        "submitted_at": _inside(current, "vars", "submission", "timestamp"),
        "started_at": current.get("start_timestamp"),
        "outcome": current.get("outcome"),
        "reason": current.get("reason"),
        "accepted": current.get("outcome") == "success" if "source" in events else None,
        "last_event_at": _age(newest)[0],
        "events": events,
    }
    # Sorted, so that a lead is hashed alike whether its events come from the vendor or from the warehouse.
    return msgspec.json.encode(record, order="sorted")


EVENTS = Entity(
    name="events",
    table="leadconduit_event",
    about="The feed: each step that a lead took, and each result.",
    path="events",
    key="id",
    cursor="start_timestamp",
    cadence=Cadence(overlap=timedelta(minutes=5), full_every=timedelta(days=7), backfill_since=date(2024, 1, 1)),
    index="lead_id",
    refs={"lead_id": "leadconduit_lead"},
    columns=columns(
        id="id lead_id=vars.lead.id account_id=vars.account.id flow_id=vars.flow.id source_id=vars.source.id",
        text="""
            type outcome reason module_id account_name=vars.account.name flow_name=vars.flow.name
            source_name=vars.source.name host version handler_version
        """,
        boolean="cap_reached",
        integer="ms wait_ms overhead_ms lag_ms total_ms",
        numeric="cost purchase_price",
        timestamptz="start_timestamp end_timestamp submitted_at=vars.submission.timestamp",
    ),
)

LEADS = Entity(
    name="leads",
    table="leadconduit_lead",
    about="Leads, as their events left them.",
    path="events by lead",
    key="lead_id",
    cursor="last_event_at",
    cadence=Cadence(
        every=timedelta(minutes=15),
        with_webhooks=timedelta(hours=1),
        overlap=timedelta(minutes=5),
        full_every=timedelta(days=7),
        backfill_since=date(2024, 1, 1),
    ),
    custom="lead",
    index="id email phone_e164 created_at",
    refs={"salesrabbit_lead_id_hge": "salesrabbit_lead"},
    columns=columns(
        id="id=event_id lead_id",
        text="""
            first_name=lead.first_name last_name=lead.last_name address=lead.address_1 city=lead.city state=lead.state
            zip=lead.postal_code country=lead.country reference=lead.reference
            source=source_name campaign=flow_name outcome reason
        """,
        email="email=lead.email",
        phone="phone=lead.phone_1",
        boolean="accepted",
        integer="salesrabbit_lead_id_hge=lead.salesrabbit_lead_id_hge",
        timestamptz="created_at=submitted_at|started_at last_event_at",
    ),
)


def check(context: ReadContext | None = None) -> str:
    """Ask for one event."""
    client(context or ReadContext()).get("/events", list[msgspec.Raw] | Wrapped, params={"limit": "1"})  # type: ignore[arg-type]
    return "LeadConduit answers: the key can read events"


LEADCONDUIT = Source(
    name="leadconduit",
    title="LeadConduit",
    transport="api",
    settings=Settings,
    fetch=fetch,
    check=check,
    check_in=check,
    page_size=PER_PAGE,
    entities=(LEADS, EVENTS),
    flags=(
        Flag(name="since", help="Says --start-date.", stands_for="start_date"),
        Flag(name="force_overwrite", help="Says --force.", stands_for="force"),
        Flag(name="test", help="Says --debug.", stands_for="debug"),
        Flag(name="verbose", help="Says --debug.", stands_for="debug"),
    ),
)

"""Does what a warehouse does every hour cost the same, however many rows it has?

    python benchmarks/many_rows.py --calls 1000000 --contacts 100000
    python benchmarks/many_rows.py --calls 10000000 --contacts 1000000 --base 100000

Calls of CallRail and contacts of HubSpot are invented and loaded by ``loading.sync``; a call is of a contact, whose
number it has. Then each step runs in a process of its own: identity and the marts from nothing; a delta of 1,000
contacts and one of 1,000 calls by key, identity and the marts after it; the same with other contacts and calls; calls
of the last days by their window, identity and the marts after it; the checks, health and alerts, the pages of
``serve``, retention; a full sync that lacks one record in a thousand, identity and the marts of everything again. The
same is done with ``--base`` calls and a tenth as many contacts first, in a database of its own.

A step's cost is processor time of the client and of the whole server, over the records that it is about, or over
the run where it is about none. ``ratio`` is that cost against the base's. *Walked* is what sequential scans read of
tables of more than ``BIG`` rows, by ``pg_stat_user_tables``, over the rows of the table, for each table that
had any; *MB* the peak memory of the step's process. The last line is one JSON object; ``worst_ratio`` and
``walked_by_deltas`` are the bars.
"""

import argparse
import asyncio
import json
import multiprocessing
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import measure
import psycopg
from contacts import NoSettings

from warehouse_pipelines.local.postgres import Server
from warehouse_pipelines.model.reading import Page, Pages, ReadContext, ReadReport, ReadRequest
from warehouse_pipelines.model.source import Source
from warehouse_pipelines.schema.migrate import migrate
from warehouse_pipelines.sources import SOURCES

PAGE, BIG, FEW = 100, 10_000, 1_000
LACKS = 1_000
"""A full sync lacks one record in so many."""
DAYS = 700
BEGIN = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=DAYS)
CALLRAIL, HUBSPOT = (next(one for one in SOURCES if one.name == name) for name in ("callrail", "hubspot"))
CALLS = next(one for one in CALLRAIL.entities if one.name == "calls")
CONTACTS = next(one for one in HUBSPOT.entities if one.name == "contacts")
PORT = 18_087

_FIRST = ("Anna", "Ben", "Carla", "David", "Elena", "Frank", "Grace", "Hector", "Irene", "Jose", "Karen", "Liam")
_HEAD = ("Ad", "Bak", "Cast", "Dun", "Ev", "Fisch", "Gom", "Hugh", "Ivan", "Jon", "Kowal", "Lop", "Mull", "Nguy", "Ort")
_MIDDLE = ("a", "be", "ci", "do", "er", "fa", "gi", "ho", "im", "ju", "ka", "le", "mi", "no", "ov", "pa", "ri", "so")
_TAIL = ("son", "man", "ez", "ski", "ton", "ley", "well", "ford", "berg", "stein", "burn", "worth", "field", "wood")
_STREET = ("Maple Ave", "N Main St", "Ridgewood Dr", "Old Mill Rd", "Lakeview Ct", "Park Blvd", "Cedar Ln", "Elm St")
_AREA = ("216", "330", "440", "513", "614", "740", "937", "419")
_SOURCE = ("Google Ads", "Radio", "Referral", "Direct mail", "Home show", "Google Organic", "Billboard", "Facebook")

_CONTACT = (
    '{"id":"%d","properties":{"hs_object_id":"%d","email":"%s","phone":"%s","firstname":"%s","lastname":"%s",'
    '"address":"%d %s","city":"Dayton","state":"OH","zip":"%05d","country":"United States","division":"Branch %d",'
    '"hge_primary_source":"%s","hs_analytics_source":"PAID_SEARCH","lifecyclestage":"lead","hubspot_owner_id":"%d",'
    '"hs_analytics_num_visits":"%d","num_notes":"%d","price":"%d.50","lead_is_dnc":"false","comments":"%s",'
    '"createdate":"%s","lastmodifieddate":"%s"},"createdAt":"%s","updatedAt":"%s","archived":false}'
)
_CALL = (
    '{"id":"CAL%012d","answered":%s,"business_phone_number":"+12165550100","customer_city":"Dayton",'
    '"customer_country":"US","customer_name":"%s","customer_phone_number":"%s","customer_state":"OH",'
    '"direction":"inbound","duration":%d,"recording":"https://api.callrail.com/v3/a/1/calls/%d/recording",'
    '"recording_duration":%d,"start_time":"%s","tracking_phone_number":"+12165550%03d","voicemail":%s,'
    '"agent_email":"agent%d@example.com","call_type":"abandoned","campaign":"Windows %d","company_id":"COM%d",'
    '"company_name":"Branch %d","created_at":"%s","first_call":%s,"lead_status":"good_lead","note":"%s",'
    '"prior_calls":%d,"source":"%s","tags":[],"total_calls":%d,"tracker_id":"TRK%d","value":"%d.00","zip_code":"%05d"}'
)
_SAID = "Asked for a quote on windows and a door, wants to be called after five, has two dogs, use the side gate"


def _mixed(number: int) -> int:
    mixed = (number + 1) * 0x9E3779B97F4A7C15 & 2**64 - 1
    mixed = (mixed ^ mixed >> 29) * 0xBF58476D1CE4E5B9 & 2**64 - 1
    return mixed ^ mixed >> 32


def _phone(contact: int) -> str:
    """Return the number of a contact; every fifth is another contact of the one before it."""
    owner = contact - (contact % 5 == 4)
    return f"+1{_AREA[owner % 8]}{2_000_000 + owner // 8}"


def _time(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def contact(number: int, edit: int = 0) -> bytes:
    """Return a contact; ``edit`` makes another version of it, which was modified later."""
    owner = number - (number % 5 == 4)
    h = _mixed(owner)
    last = f"{_HEAD[h % 15]}{_MIDDLE[h // 15 % 18]}{_TAIL[h // 270 % 14]}"
    created = _time(BEGIN + timedelta(minutes=h % (60 * 24 * (DAYS - 10))))
    modified = _time(datetime.now(UTC) - timedelta(seconds=5)) if edit else created
    return (
        _CONTACT
        % (
            number, number, f"{last.lower()}.{number}@example.com", _phone(number), _FIRST[h // 3780 % 12], last,
            100 + h % 9_900, _STREET[h >> 9 & 7], 43_001 + (h >> 12) % 6_000, h % 5,
            "Moved" if edit else _SOURCE[h >> 16 & 7], h % 64, h % 50 + edit, h % 9, h % 900, _SAID, created, modified,
            created, modified,
        )
    ).encode()  # fmt: skip


class Business:
    """So many calls and contacts; calls come evenly over ``DAYS`` days, in the order of their keys."""

    def __init__(self, calls: int, contacts: int) -> None:
        self.calls, self.contacts = calls, contacts

    def call(self, number: int, edit: int = 0) -> bytes:
        """Return a call; ``edit`` makes another version of it."""
        h = _mixed(number)
        start = _time(BEGIN + timedelta(seconds=number * DAYS * 86_400 // self.calls))
        seconds, branch = h % 1_800, h % 5
        true = ("false", "true")
        return (
            _CALL
            % (
                number, true[h & 1], "WIRELESS CALLER", _phone(h % self.contacts), seconds, number, seconds, start,
                h % 300, true[not h & 1], h % 40, h % 20, branch, branch, start, true[h >> 3 & 1],
                f"{_SAID} {edit}", h % 4, _SOURCE[h >> 16 & 7], h % 4 + 1, h % 300, h % 3_000,
                43_001 + (h >> 12) % 6_000,
            )
        ).encode()  # fmt: skip

    def first_of_window(self) -> int:
        """Return the first call of the days that CallRail is asked for each time."""
        edge = datetime.now(UTC) - CALLS.cadence.lookback + timedelta(seconds=60)
        return int((edge - BEGIN).total_seconds() * self.calls / (DAYS * 86_400)) + 1

    def newest(self, count: int, before: int = 0) -> range:
        """Return so many calls, which are what webhooks tell of, but for the newest ``before``."""
        return range(self.calls - before - count, self.calls - before)


def answering(source: Source, records: Callable[[], Iterable[bytes]]) -> Source:
    """Return the source with a vendor that answers with these records, by window and by key."""

    def fetch(request: ReadRequest, context: ReadContext) -> Pages:
        page: list[bytes] = []
        for record in records():
            page.append(record)
            if len(page) == PAGE:
                context.calls += 1
                yield Page(page, in_window=not request.full)
                page = []
        if page:
            yield Page(page, in_window=not request.full)
        return ReadReport()

    by_key = dict.fromkeys(source.by_key, FEW)
    return replace(source, settings=NoSettings, credential=None, fetch=fetch, read_keys=fetch, by_key=by_key,
                   as_configured=lambda entity, _: entity)  # fmt: skip


def load(url: str, what: str, business: Business, *, full: bool = False, lacking: bool = False) -> dict[str, Any]:
    """Sync all calls or contacts; ``lacking`` leaves out one in ``LACKS``."""
    from warehouse_pipelines.loading.options import Options
    from warehouse_pipelines.loading.sync import sync

    source, entity, count = (
        (CALLRAIL, CALLS, business.calls) if what == "calls" else (HUBSPOT, CONTACTS, business.contacts)
    )
    make = business.call if what == "calls" else contact

    def records() -> Iterator[bytes]:
        return (make(n) for n in range(count) if not (lacking and n % LACKS == LACKS // 2))

    done = sync(answering(source, records), entity, Options(full=full), url=url)
    missing = sum(1 for n in range(count) if n % LACKS == LACKS // 2) if lacking else 0
    right = done.processed == count - missing and done.deleted == missing
    right = right and (done.created == count if not full else done.created == 0)
    return {"records": count, "right": right and done.failed == 0}


def contacts_delta(url: str, business: Business, *, other: bool = False) -> dict[str, Any]:
    """Sync contacts that were edited, or ``other`` ones."""
    from warehouse_pipelines.loading.options import Options
    from warehouse_pipelines.loading.sync import sync

    if other:
        _let_overlap_pass()
    edited = [(2 * place + other) * business.contacts // (2 * FEW) for place in range(FEW)]
    done = sync(answering(HUBSPOT, lambda: (contact(n, 1) for n in edited)), CONTACTS, Options(), url=url)
    return {"records": FEW, "right": (done.mode, done.updated, done.created) == ("delta", FEW, 0)}


def calls_by_key(url: str, business: Business, *, other: bool = False) -> dict[str, Any]:
    """Sync the calls that webhooks told of, or those before these."""
    from warehouse_pipelines.loading.keyed import sync_keys

    edited = business.newest(FEW, before=FEW * other)
    source = answering(CALLRAIL, lambda: (business.call(n, 1) for n in edited))
    done = sync_keys(source, CALLS, [f"CAL{n:012d}" for n in edited], url=url)
    return {"records": FEW, "right": (done.updated, done.created) == (FEW, 0)}


def calls_of_the_window(url: str, business: Business) -> dict[str, Any]:
    """Sync what CallRail is asked for each time: the calls of the days that are read again, one in ten edited."""
    from warehouse_pipelines.loading.options import Options
    from warehouse_pipelines.loading.sync import sync

    first = business.first_of_window()
    known = set(business.newest(2 * FEW))
    source = answering(
        CALLRAIL, lambda: (business.call(n, int(n in known or n % 10 == 3)) for n in range(first, business.calls))
    )
    done = sync(source, CALLS, Options(), url=url)
    count = business.calls - first
    return {"records": count, "right": (done.mode, done.processed) == ("delta", count) and done.deleted <= count / 50}


def identity(url: str, business: Business, *, full: bool = False, window: bool = False) -> dict[str, Any]:
    """Resolve identity of everything, of the two deltas, or of what changed in the ``window``."""
    from warehouse_pipelines import warehouse
    from warehouse_pipelines.unified.identity import resolve

    with warehouse.session(url) as session:
        done = resolve.run(session, full=full)
    if window:  # the note of a call, which is what was edited, says nothing of who called
        edited = max((business.calls - 2 * FEW - business.first_of_window()) // 10, 1)
        return {"records": edited, "right": done.changed < max(edited, FEW), "steps": done.seconds}
    right = done.records >= business.contacts if full else done.changed >= FEW / 2
    count = business.calls + business.contacts if full else max(done.changed, 1)
    return {"records": count, "right": right, "steps": done.seconds}


def marts(url: str, business: Business, *, full: bool = False, window: bool = False) -> dict[str, Any]:
    """Compute the marts of everything, of the two deltas, or of what changed in the ``window``."""
    from warehouse_pipelines import warehouse
    from warehouse_pipelines.unified import marts as program

    with warehouse.session(url) as session:
        done = program.run(session, full=full)
    changed = (business.calls - business.first_of_window()) // 10 if window else 2 * FEW
    count = business.calls + business.contacts if full else changed
    steps = {one.name: round(one.seconds, 2) for one in done}
    return {"records": count, "right": True, "steps": steps}


def checks(url: str, _: Business) -> dict[str, Any]:
    """Run the checks of both entities, at once and hourly."""
    from warehouse_pipelines import warehouse
    from warehouse_pipelines.orchestration import checks as program

    by_table = {entity.table: entity for source in SOURCES for entity in source.entities}
    found = []
    for source, entity in ((CALLRAIL, CALLS), (HUBSPOT, CONTACTS)):
        found += list(program.judge_at_once(source, entity, url, set(program.AT_ONCE)))
        with warehouse.session(url) as session:
            own = {one.table for one in source.entities}
            found.append(program._references(session, entity, by_table, own))
    return {"records": 1, "right": len(found) == 8}


def health(url: str, _: Business) -> dict[str, Any]:
    """Ask what `warehouse status`, the alerts and `/metrics` ask."""
    from warehouse_pipelines.observability import health as program
    from warehouse_pipelines.observability.alerts import program as alerts

    found = list(program.judge(SOURCES, url=url))
    alerts.run(url, SOURCES)
    return {"records": 1, "right": len(found) > 100}


def pages(url: str, business: Business) -> dict[str, Any]:
    """Open pages of the calls and contacts in ``warehouse serve``, ten times each."""
    import api
    import together
    import webhooks

    from warehouse_pipelines.serving import accounts

    key = f"CAL{business.calls // 2:012d}"
    paths = {
        "list": "/tables/callrail_call", "sorted": "/tables/callrail_call?sort=-start_time",
        "search": f"/tables/callrail_call?q={key}", "record": f"/tables/callrail_call?where=id.is:{key}",
        "contacts": "/tables/hubspot_contact", "name": "/tables/hubspot_contact?q=Bakeson", "overview": "/",
    }  # fmt: skip
    with psycopg.connect(url, autocommit=True, row_factory=psycopg.rows.dict_row) as connection:
        accounts.add_user(connection, "benchmark", "operator", UUID(api.ORG), None)
    cookie = together.signed_in(url)[0]
    took: dict[str, list[float]] = {}

    async def open_all() -> bool:
        reader, writer = await asyncio.open_connection("127.0.0.1", PORT)
        good = True
        for _ in range(10):
            for name, path in paths.items():
                began = time.perf_counter()
                good &= await together.opened(reader, writer, cookie, path) == 200
                took.setdefault(name, []).append(time.perf_counter() - began)
        writer.close()
        return good

    with webhooks.serving(url, PORT, webhooks.HERE):
        right = asyncio.run(open_all())
    ms = {name: round(1000 * sorted(times)[len(times) // 2], 1) for name, times in took.items()}
    return {"records": 10 * len(paths), "right": right, "steps": ms}


def retention(url: str, _: Business) -> dict[str, Any]:
    """Remove what is past its age: nothing is, so this is what looking costs."""
    from warehouse_pipelines import warehouse
    from warehouse_pipelines.loading import retention as program

    with warehouse.session(url) as session:
        done = program.run(session, SOURCES)
    return {"records": 1, "right": not any(one.problem for one in done)}


def _let_overlap_pass() -> None:
    """Wait until rows of before are not read again by identity, which would tell on few rows alone."""
    from warehouse_pipelines.unified.identity.records import OVERLAP

    time.sleep(OVERLAP.total_seconds() + 1)


def vacuum(url: str, business: Business) -> dict[str, Any]:
    """Do what autovacuum would do after a first load, and let identity's overlap pass."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("VACUUM (ANALYZE)")
    _let_overlap_pass()
    return {"records": business.calls + business.contacts, "right": True}


IMPORTED = (
    "warehouse_pipelines.loading.keyed", "warehouse_pipelines.loading.retention", "warehouse_pipelines.loading.sync",
    "warehouse_pipelines.observability.alerts.program", "warehouse_pipelines.orchestration.checks",
    "warehouse_pipelines.serving.accounts", "warehouse_pipelines.unified.identity.resolve",
    "warehouse_pipelines.unified.marts",
)  # fmt: skip
"""What the process imports from which each step's is forked: imports are not measured, and are done once."""

Step = tuple[Callable[..., dict[str, Any]], tuple[Any, ...], dict[str, Any]]

STEPS: dict[str, Step] = {
    "first load, calls": (load, ("calls",), {}),
    "first load, contacts": (load, ("contacts",), {}),
    "vacuum": (vacuum, (), {}),
    "identity from nothing": (identity, (), {"full": True}),
    "marts from nothing": (marts, (), {"full": True}),
    "delta, 1,000 contacts": (contacts_delta, (), {}),
    "1,000 calls by key": (calls_by_key, (), {}),
    "identity, delta": (identity, (), {}),
    "marts, delta": (marts, (), {}),
    "delta, 1,000 other contacts": (contacts_delta, (), {"other": True}),
    "1,000 other calls by key": (calls_by_key, (), {"other": True}),
    "identity, later delta": (identity, (), {}),
    "marts, later delta": (marts, (), {}),
    "delta, calls of 30 days": (calls_of_the_window, (), {}),
    "identity, calls of 30 days": (identity, (), {"window": True}),
    "marts, calls of 30 days": (marts, (), {"window": True}),
    "checks": (checks, (), {}),
    "health and alerts": (health, (), {}),
    "pages": (pages, (), {}),
    "retention": (retention, (), {}),
    "everything again, calls": (load, ("calls",), {"full": True, "lacking": True}),
    "everything again, contacts": (load, ("contacts",), {"full": True, "lacking": True}),
    "identity, everything again": (identity, (), {"full": True}),
    "marts, everything again": (marts, (), {"full": True}),
}
SMALL = (
    "delta, 1,000 contacts", "1,000 calls by key", "identity, delta", "marts, delta", "delta, 1,000 other contacts",
    "1,000 other calls by key", "identity, later delta", "marts, later delta", "identity, calls of 30 days", "checks",
    "health and alerts", "pages", "retention",
)  # fmt: skip
"""The steps that must not walk through a big table."""


def _working(step: str, url: str, business: Business) -> dict[str, Any]:
    """Run a step in this process, which is its own."""
    import logging

    os.environ |= {"WAREHOUSE_SAFETY_LIMIT": "100000000", "RUNTIME__LOG_LEVEL": "ERROR"}
    logging.getLogger("warehouse").setLevel(logging.ERROR)
    work, given, named = STEPS[step]
    used, began = _processor(), time.perf_counter()
    found = work(url, *given, business, **named)
    seconds = time.perf_counter() - began
    return {**found, "seconds": seconds, "client": _processor() - used, "mb": measure.peak_memory_mb()}


def _processor() -> float:
    return sum(os.times()[:4])


def _scans(url: str) -> dict[str, tuple[int, int]]:
    """Return what sequential scans have read of each table so far, and how many rows it has."""
    with psycopg.connect(url, autocommit=True) as connection:
        rows = connection.execute("""
            SELECT s.schemaname || '.' || s.relname, s.seq_tup_read, greatest(c.reltuples, s.n_live_tup)::bigint
            FROM pg_stat_user_tables AS s JOIN pg_class AS c ON c.oid = s.relid
        """).fetchall()
    return {name: (read, count) for name, read, count in rows}


def run(server: Server, business: Business, only: str) -> dict[str, dict[str, Any]]:
    """Run all steps with so many rows; return what each cost."""
    url = server.create_database(f"rows_{business.calls}")
    migrate(url)
    forks = multiprocessing.get_context("forkserver")
    forks.set_forkserver_preload(list(IMPORTED))
    costs: dict[str, dict[str, Any]] = {}
    for step in STEPS:
        if only and only not in step and not step.startswith(("first", "vacuum")):
            continue
        before = _scans(url)
        with measure.measured(server) as cost, forks.Pool(1) as pool:
            found = pool.apply(_working, (step, url, business))
        walked = {
            name: round((read - before.get(name, (0, 0))[0]) / count, 2)
            for name, (read, count) in _scans(url).items()
            if count > BIG and read - before.get(name, (0, 0))[0] > count / 10
        }
        used = found["client"] + cost.postgres_seconds
        costs[step] = found | {
            "postgres": round(cost.postgres_seconds, 2), "client": round(found["client"], 2),
            "seconds": round(found["seconds"], 2), "mb": round(found["mb"]),
            "microseconds": round(1e6 * used / found["records"], 1), "walked": walked,
        }  # fmt: skip
        print(f"{business.calls:,} {step}: {json.dumps(costs[step])}", file=sys.stderr, flush=True)
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT pg_database_size(current_database())").fetchone()
    costs["size"] = {"mb": round((row[0] if row else 0) / 2**20)}
    server.drop_database(f"rows_{business.calls}")
    return costs


def main() -> None:
    """Run it from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=1_000_000)
    parser.add_argument("--contacts", type=int, default=100_000)
    parser.add_argument("--base", type=int, default=100_000, help="calls of the run to compare with; 0: none")
    parser.add_argument("--only", default="", help="steps whose name has this word, and the loads before them")
    asked = parser.parse_args()
    with measure.server() as server:
        base = run(server, Business(asked.base, asked.base // 10), asked.only) if asked.base else {}
        many = run(server, Business(asked.calls, asked.contacts), asked.only)
    told: dict[str, Any] = {"calls": asked.calls, "contacts": asked.contacts, "mb": many.pop("size")["mb"]}
    rows = []
    for step, cost in many.items():
        if step in base and base[step]["microseconds"]:
            cost["ratio"] = round(cost["microseconds"] / base[step]["microseconds"], 2)
        walked = ", ".join(f"{name} x {times:g}" for name, times in cost["walked"].items())
        rows.append([
            step, f"{cost['records']:,}", f"{cost['seconds']:,.1f}", f"{cost['client']:.1f} + {cost['postgres']:.1f}",
            f"{cost['microseconds']:,.0f}", f"{cost.get('ratio', 0):.2f}", f"{cost['mb']:,}", walked or "nothing",
            "yes" if cost["right"] else "NO",
        ])  # fmt: skip
    head = [
        "step",
        "records",
        "seconds",
        "processor, client + PostgreSQL",
        "µs a record",
        "ratio",
        "MB",
        "walked",
        "right",
    ]
    print(measure.table(head, rows))
    told["worst_ratio"] = max((cost.get("ratio", 0) for cost in many.values()), default=0)
    told["walked_by_deltas"] = {step: many[step]["walked"] for step in SMALL if step in many and many[step]["walked"]}
    told["all_right"] = all(cost["right"] for cost in (*many.values(), *(c for s, c in base.items() if s != "size")))
    told["steps"] = many
    print(json.dumps(told))


if __name__ == "__main__":
    main()

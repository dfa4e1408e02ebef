"""How long people, programs and vendors wait for ``serve`` while all of them ask at once and a sync runs.

    python benchmarks/together.py --seconds 60 --rows 10000000

Ten people open a page each second; programs ask for 100 of 50,000 leads, 50 times a second (``api``); HubSpot delivers
100 webhooks a second, one event each (``webhooks``); a process beside them syncs 100,000 contacts (``contacts``). All
of it is sent by the clock, and a time is from when a request was due to the end of its answer. ``serve`` and PostgreSQL
run as delivered, on the disk. The people open the overview, runs, schedules, status, dead letters, the list of tables,
the leads, and the calls: a table that is filled with ``--rows`` rows, from its start, by time, and by a word.

Before that nobody else asks and each of these pages is opened ten times: ``page alone``. The first opening of each is
told apart, because plans and statistics are read then. The last line is one JSON object.
"""

import argparse
import asyncio
import hashlib
import json
import secrets
import threading
import time
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import api
import measure
import psycopg
import webhooks
from contacts import CONTACT

from warehouse_pipelines.schema import tables
from warehouse_pipelines.schema.migrate import engine, migrate
from warehouse_pipelines.sources import SOURCES

PEOPLE = 10
CALLS = next(one for source in SOURCES for one in source.entities if one.table == "callrail_call")
FILL = """
    INSERT INTO callrail_call (id, start_time, duration, customer_phone_number, customer_name, raw_data)
    SELECT 'CAL' || n, timestamptz '2026-01-01' - n * interval '7 seconds', n % 600,
        '+1216' || (2000000 + n % 7999999), 'Family ' || n % 5000,
        jsonb_build_object('id', 'CAL' || n, 'duration', n % 600)
    FROM generate_series({first}, {last}) AS n
"""
BATCH = 1_000_000
PAGES = {
    "overview": "/", "runs": "/runs", "schedules": "/schedules", "status": "/status",
    "dead letters": "/dead-letters", "tables": "/tables", "leads": "/tables/crm.leads",
    "calls": "/tables/callrail_call", "calls by time": "/tables/callrail_call?sort=-start_time",
    "a call": "/tables/callrail_call?q=CAL4711",
}  # fmt: skip


class People:
    """Browsers that each open a page when it is due."""

    def __init__(self, port: int, cookies: Sequence[str], seconds: int) -> None:
        self.port, self.cookies, self.seconds = port, cookies, seconds
        self.times: dict[str, list[float]] = defaultdict(list)
        self.wrong: list[str] = []

    async def run(self) -> None:
        began = time.perf_counter() + 0.5
        await asyncio.gather(*(self._person(place, one, began) for place, one in enumerate(self.cookies)))

    async def _person(self, place: int, cookie: str, began: float) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        pages = list(PAGES.items())
        for number in range(self.seconds):
            name, path = pages[(number + place) % len(pages)]
            due = began + number + place / len(self.cookies)
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            status = await opened(reader, writer, cookie, path)
            self.times[name].append(time.perf_counter() - due)
            if status != 200:
                self.wrong.append(f"{path}: {status}")
        writer.close()


async def opened(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, cookie: str, path: str) -> int:
    """Read a page to its end; return its status."""
    writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nCookie: {cookie}\r\nAccept: text/html\r\n\r\n".encode())
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    await reader.readexactly(int(head.partition(b"content-length: ")[2].split(b"\r\n", 1)[0]))
    return int(head.split(b" ", 2)[1])


async def alone(port: int, cookie: str) -> tuple[dict[str, float], list[float]]:
    """Open each page ten times; return the first times of each, and all others."""
    first, others = {}, []
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for _ in range(10):
        for name, path in PAGES.items():
            began = time.perf_counter()
            status = await opened(reader, writer, cookie, path)
            took = time.perf_counter() - began
            if status != 200:
                raise SystemExit(f"{path} answers {status}")
            if name in first:
                others.append(took)
            else:
                first[name] = took
    writer.close()
    return first, others


def fill(url: str, rows: int, leads: int) -> str:
    """Make the tables and their rows, leads and a user; return the user's token."""
    migrate(url)
    with engine(url).begin() as connection:
        tables.align(connection, [CONTACT, CALLS])
    token = api.fill(url, leads)
    with psycopg.connect(url, autocommit=True) as connection:
        for first in range(0, rows, BATCH):
            connection.execute(FILL.format(first=first, last=min(first + BATCH, rows) - 1).encode())
        connection.execute("VACUUM ANALYZE")
    return token


def signed_in(url: str) -> list[str]:
    """Return cookies of sessions of the user, one for each of the people."""
    made = [secrets.token_urlsafe(32) for _ in range(PEOPLE)]
    with psycopg.connect(url, autocommit=True) as connection:
        for one in made:
            connection.execute(
                "INSERT INTO access.session (token_hash, user_id, expires_at) "
                "SELECT %s, id, now() + interval '1 day' FROM access.user_account",
                [hashlib.sha256(one.encode()).digest()],
            )
    return [f"__Host-warehouse_session={one}; warehouse_session={one}" for one in made]


async def all_at_once(clients: api.Clients, people: People, senders: webhooks.Senders) -> None:
    await asyncio.gather(clients.run(16), people.run(), senders.run(16))


def summary(name: str, seconds: Sequence[float]) -> tuple[list[str], dict[str, Any]]:
    """Return a row of the table, and the same for JSON."""
    ranked = sorted(1000 * one for one in seconds)
    p50, p99, worst = ranked[len(ranked) // 2], ranked[int(len(ranked) * 0.99)], ranked[-1]
    found = {"count": len(ranked), "p50_ms": round(p50, 1), "p99_ms": round(p99, 1), "worst_ms": round(worst, 1)}
    return [name, str(len(ranked)), f"{p50:.1f}", f"{p99:.1f}", f"{worst:.1f}"], found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--leads", type=int, default=50_000)
    parser.add_argument("--sync", type=int, default=100_000)
    parser.add_argument("--port", type=int, default=18_083)
    given = parser.parse_args()
    with measure.server() as server:
        url = server.create_database("together")
        token = fill(url, given.rows, given.leads)
        sync_alone = webhooks.alone(url, given.sync)
        cookies = signed_in(url)
        with webhooks.serving(url, given.port, webhooks.HERE):
            first, others = asyncio.run(alone(given.port, cookies[0]))
            asked = api.cases(asyncio.run(api.second_page(given.port, token)))
            asyncio.run(api.Clients(given.port, token, 50, min(api.WARM, given.seconds), asked).run(16))
            clients = api.Clients(given.port, token, 50, given.seconds, asked)
            people = People(given.port, cookies, given.seconds)
            senders = webhooks.Senders(given.port, 100, 100 * given.seconds)
            loading = webhooks.Load(url, given.sync)
            threading.Timer(2, loading.go).start()
            asyncio.run(all_at_once(clients, people, senders))
            sync_beside = loading.wait()
        with psycopg.connect(url) as connection:
            rows = connection.execute(
                "SELECT (body::jsonb -> 0 ->> 'objectId')::int FROM orchestration.webhook_inbox"
            ).fetchall()
    kept = [row[0] for row in rows]
    timed = {
        "page alone": others, "page alone, first": list(first.values()),
        "page": [one for of in people.times.values() for one in of],
        "api": [one for of in clients.times.values() for one in of], "delivery": senders.times,
        **{f"page: {name}": times for name, times in people.times.items()},
    }  # fmt: skip
    found: dict[str, Any] = {}
    table = []
    for name, times in timed.items():
        row, found[name] = summary(name, times)
        table.append(row)
    found |= {
        "first_ms": {name: round(1000 * one, 1) for name, one in first.items()}, "rows": given.rows,
        "sync_alone_seconds": round(sync_alone, 1), "sync_seconds": round(sync_beside, 1),
        "all_right": not (clients.wrong or people.wrong), "wrong": [*clients.wrong[:3], *people.wrong[:3]],
        "nothing_lost_or_doubled": len(kept) == len(set(kept)) and set(senders.taken) == set(kept),
    }  # fmt: skip
    print(measure.table(["request", "count", "p50 ms", "p99 ms", "worst ms"], table))
    print(json.dumps(found))


if __name__ == "__main__":
    main()

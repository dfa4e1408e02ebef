"""How many webhooks a second ``warehouse serve`` keeps, and how long a vendor waits for its answer.

    python benchmarks/webhooks.py --rate 500 --seconds 60
    python benchmarks/webhooks.py --rounds 3 --against ../another-checkout    # both in turn, in one run
    python benchmarks/webhooks.py --seconds 60 --sync 100000                  # beside a sync, and that sync alone

``serve`` and PostgreSQL run as delivered, on the disk. Deliveries of HubSpot, each signed and different, one event in
each, come from this process over ``--senders`` connections; they are made beforehand. They are sent by the clock,
whether or not earlier ones have been answered, and the time of a delivery is from when it was due to its answer: a
server that falls behind cannot hide it. ``sent_p99_ms`` is from when it left this process, which on a busy machine is
late itself. At the end every delivery that was answered with 200 must be in the inbox, once.

The processor time of ``serve``, PostgreSQL and the sender is told apart, in ms of one core for each delivery.

``--sync N`` loads N contacts (``contacts``), from pages in memory and so without a vendor to wait for, in a process of
its own: alone, beside the deliveries, alone again. ``sync_ratio`` is how much longer it took beside them.

The last line is one JSON object.
"""

import argparse
import asyncio
import base64
import contextlib
import hashlib
import hmac
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import contacts
import measure
import psycopg
import uvloop
from contacts import CONTACT

from warehouse_pipelines.local.postgres import Server
from warehouse_pipelines.schema import tables
from warehouse_pipelines.schema.migrate import engine, migrate

SECRET, HOST = "a-benchmark", "hooks.example.test"  # nobody's
HERE = Path(__file__).resolve().parents[1]


def delivery(number: int) -> bytes:
    """Return a request of HubSpot's, signed now."""
    event = {
        "eventId": number % 97, "subscriptionId": 12, "portalId": 4440001, "appId": 9, "occurredAt": 1781000000123,
        "subscriptionType": "contact.propertyChange", "attemptNumber": 0, "objectId": number, "objectTypeId": "0-1",
        "propertyName": "city", "propertyValue": "Elyria", "changeSource": "CRM_UI",
    }  # fmt: skip
    body = json.dumps([event]).encode()
    at = str(int(time.time() * 1000))
    signed = f"POSThttps://{HOST}/webhooks/hubspot".encode() + body + at.encode()
    signature = base64.b64encode(hmac.new(SECRET.encode(), signed, hashlib.sha256).digest()).decode()
    head = (
        f"POST /webhooks/hubspot HTTP/1.1\r\nHost: {HOST}\r\nContent-Type: application/json\r\n"
        f"X-HubSpot-Signature-v3: {signature}\r\nX-HubSpot-Request-Timestamp: {at}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


@dataclass
class Senders:
    """Connections that send deliveries when they are due."""

    port: int
    rate: int
    count: int
    first: int = 0
    times: list[float] = field(default_factory=list)
    sent: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    taken: list[int] = field(default_factory=list)
    _next: int = 0
    _began: float = 0.0

    async def run(self, senders: int) -> None:
        made = [delivery(self.first + number) for number in range(self.count)]
        self._began = time.perf_counter() + 0.5
        await asyncio.gather(*(self._sender(made) for _ in range(senders)))

    async def _sender(self, made: list[bytes]) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        while self._next < self.count:
            number, self._next = self._next, self._next + 1
            due = self._began + number / self.rate
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            left = time.perf_counter()
            writer.write(made[number])
            head = await reader.readuntil(b"\r\n\r\n")
            now = time.perf_counter()
            status = int(head.split(b" ", 2)[1])
            if b"content-length: 0" not in head.lower():
                raise SystemExit(f"an answer with a body: {head!r}")
            self.times.append(now - due)
            self.sent.append(now - left)
            self.statuses[status] += 1
            if status == 200:
                self.taken.append(self.first + number)
        writer.close()


class Load:
    """A sync of contacts in a process of its own, which waits for ``go``."""

    def __init__(self, url: str, records: int) -> None:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(f"TRUNCATE {CONTACT.table}")
            connection.execute("DELETE FROM orchestration.sync_history")
            connection.execute("CHECKPOINT")
        self._process = subprocess.Popen(
            [sys.executable, __file__, "--load", str(records), "--url", url],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        self._said()

    def go(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write("go\n")
        self._process.stdin.flush()

    def wait(self) -> float:
        """Return how many seconds it took."""
        said = self._said()
        if self._process.wait():
            raise SystemExit("the sync failed")
        return float(said)

    def _said(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline()


def load(records: int, url: str) -> None:
    """Be that process."""
    from warehouse_pipelines.loading.options import Options
    from warehouse_pipelines.loading.sync import sync

    made = list(contacts.pages("base", records))
    print("ready", flush=True)
    sys.stdin.readline()
    result = sync(contacts.source(lambda: made), CONTACT, Options(), url=url)
    if result.created != records:
        raise SystemExit(f"{result.created} records were loaded and not {records}")
    print(result.seconds, flush=True)


def alone(url: str, records: int) -> float:
    """Return how many seconds a sync takes by itself."""
    one = Load(url, records)
    one.go()
    return one.wait()


@contextlib.contextmanager
def serving(url: str, port: int, checkout: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """Run ``warehouse serve`` of a checkout, warmed up, on an inbox that is empty."""
    with tempfile.TemporaryDirectory() as home:
        environment = {
            **os.environ, "WAREHOUSE_DATABASE_URL": url, "WAREHOUSE_HOME": home, "HUBSPOT_CLIENT_SECRET": SECRET,
            "WAREHOUSE_SERVE_PORT": str(port), "WAREHOUSE_PUBLIC_URL": f"https://{HOST}",
            "WAREHOUSE_WEBHOOK_RATE": "100000", "PYTHONPATH": str(checkout),
        }  # fmt: skip
        command = [sys.executable, "-m", "warehouse_pipelines.commands.cli", "serve"]
        with subprocess.Popen(command, env=environment, cwd=checkout) as serve:
            try:
                wait_for(port)
                uvloop.run(Senders(port, 500, 500).run(64))
                with psycopg.connect(url, autocommit=True) as connection:
                    connection.execute("TRUNCATE orchestration.webhook_inbox")
                    connection.execute("CHECKPOINT")
                yield serve
            finally:
                serve.terminate()


def round_of(server: Server, url: str, given: argparse.Namespace, checkout: Path) -> dict[str, Any]:
    """Send for so long, and return what came of it."""
    beside: dict[str, Any] = {}
    before_it = alone(url, given.sync) if given.sync else 0.0
    with serving(url, given.port, checkout) as serve:
        senders = Senders(given.port, given.rate, given.rate * given.seconds)
        if given.sync:
            loading = Load(url, given.sync)
            threading.Timer(2, loading.go).start()
        before = [processor(serve.pid), measure.postgres_seconds(server), own(), measure.machine_seconds()]
        began = time.perf_counter()
        uvloop.run(senders.run(given.senders))
        seconds = time.perf_counter() - began
        after = [processor(serve.pid), measure.postgres_seconds(server), own(), measure.machine_seconds()]
        if given.sync:
            beside["sync_seconds"] = round(loading.wait(), 1)
    if given.sync:
        beside["sync_alone_seconds"] = round((before_it + alone(url, given.sync)) / 2, 1)
        beside["sync_ratio"] = round(beside["sync_seconds"] / beside["sync_alone_seconds"], 2)
    used = [late - early for early, late in zip(before, after, strict=True)]
    with psycopg.connect(url) as connection:
        rows = connection.execute(
            "SELECT (body::jsonb -> 0 ->> 'objectId')::int, xmin::text FROM orchestration.webhook_inbox"
        ).fetchall()
    kept = [row[0] for row in rows]
    count = len(senders.times)
    times, sent = (sorted(1000 * one for one in found) for found in (senders.times, senders.sent))
    return {
        "deliveries": count,
        "per_second": round(count / seconds),
        "p50_ms": round(times[count // 2], 1),
        "p99_ms": round(times[int(count * 0.99)], 1),
        "worst_ms": round(times[-1], 1),
        "sent_p99_ms": round(sent[int(count * 0.99)], 1),
        "serve_ms_each": round(1000 * used[0] / count, 2),
        "postgres_ms_each": round(1000 * used[1] / count, 2),
        "sender_ms_each": round(1000 * used[2] / count, 2),
        "other_cores": round(max(0.0, used[3] - sum(used[:3])) / seconds, 2),
        "transactions": len({row[1] for row in rows}),
        "statuses": {str(status): number for status, number in sorted(senders.statuses.items())},
        "nothing_lost_or_doubled": set(senders.taken) <= set(kept) and len(kept) == len(set(kept)),
        **beside,
    }


def processor(pid: int) -> float:
    """Return the processor time of a process so far, in seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:13])) / measure.TICK


def own() -> float:
    """Return the processor time of this process so far, in seconds."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def wait_for(port: int) -> None:
    """Wait until ``serve`` takes connections."""

    async def connect() -> None:
        for _ in range(600):
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.1)
            else:
                writer.close()
                return
        raise SystemExit("serve does not answer")

    asyncio.run(connect())


def median(rounds: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the median of each number over the rounds, and what must hold in all of them."""
    found: dict[str, Any] = {}
    for name, value in rounds[0].items():
        values = [one[name] for one in rounds]
        if isinstance(value, bool):
            found[name] = all(values)
        elif isinstance(value, int | float):
            found[name] = round(statistics.median(values), 2)
        else:
            found[name] = dict(sum(map(Counter, values), Counter[str]()))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=int, default=500)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--senders", type=int, default=64)
    parser.add_argument("--port", type=int, default=18_080)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--against", type=Path, help="another checkout, measured in turn with this one")
    parser.add_argument("--sync", type=int, default=0, help="contacts that a sync loads beside it")
    parser.add_argument("--load", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--url", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.load:
        load(given.load, given.url)
        return
    checkouts = {"here": HERE, **({"there": given.against.resolve()} if given.against else {})}
    rounds: dict[str, list[dict[str, Any]]] = {name: [] for name in checkouts}
    with measure.server() as server:
        url = server.create_database("webhooks")
        migrate(url)
        with engine(url).begin() as connection:
            tables.align(connection, [CONTACT])
        for _ in range(given.rounds):
            for name, checkout in checkouts.items():
                rounds[name].append(round_of(server, url, given, checkout))
    found = {name: median(made) for name, made in rounds.items()}
    print(measure.table(["", *found], [[key, *(str(one[key]) for one in found.values())] for key in found["here"]]))
    print(json.dumps({**found["here"], **({"there": found["there"]} if "there" in found else {})}))


if __name__ == "__main__":
    main()

"""How long a program waits for a page of 100 leads, at 50 requests a second over 50,000 leads.

    python benchmarks/api.py --rate 50 --seconds 60

``serve`` and PostgreSQL run as delivered, on the disk; requests come from this process over ``--clients`` connections,
with a token. They are sent by the clock, whether or not earlier ones have been answered, and the time of a request is
from when it was due to the end of its answer: a server that falls behind cannot hide it. They take turns: the first
page, the page behind it, the leads of a status, those of a tag, those whose name has a part. All leads are of the
organization that asks. Every answer must have the rows that the filter finds. ``serve_ms`` and ``postgres_ms`` are the
processor time of a request, which says what a machine has to give however busy this one is.

The last line is one JSON object.
"""

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote
from uuid import UUID

import measure
import psycopg
from psycopg.rows import dict_row
from webhooks import wait_for

from warehouse_pipelines.schema.migrate import migrate
from warehouse_pipelines.serving import accounts

ORG = "00000000-0000-0000-0000-000000000001"
SIZE = 100

FILL = """
    INSERT INTO crm.leads (organization_id, first_name, last_name, email, phone, status, source, tags, timezone,
        source_metadata, value_usd, postal_code, created_at, status_changed_at)
    SELECT %(org)s, (ARRAY['Ada', 'Grace', 'Alan', 'Edsger', 'Barbara'])[1 + n %% 5], 'Family' || n %% 5000,
        'person' || n || '@example.test', '+1' || (2060000000 + n),
        (ARRAY['new', 'contacted', 'qualified'])[1 + n %% 3],
        (ARRAY['google', 'referral', 'angi'])[1 + n %% 3], CASE WHEN n %% 50 = 0 THEN '{hot}' ELSE '{}' END::text[],
        'America/New_York', jsonb_build_object('campaign', 'spring', 'click', md5(n::text)), n %% 10000, '98101',
        at, at
    FROM generate_series(1, %(leads)s) AS n, LATERAL (SELECT now() - n * interval '5 minutes' AS at) AS t
"""


def cases(cursor: str) -> dict[str, str]:
    """Return the addresses that are asked, by what they are."""
    part = quote(json.dumps({"field": "last_name", "op": "contains", "value": "family12"}))
    return {
        "first page": "", "next page": f"&cursor={quote(cursor)}", "of a status": "&status=contacted",
        "of a tag": "&tag=hot", "by a part of a name": f"&filter={part}",
    }  # fmt: skip


WARM = 5
"""Seconds of asking before anything is measured, or fewer where fewer are measured."""


class Clients:
    """Connections that ask when it is due."""

    def __init__(self, port: int, token: str, rate: int, seconds: int, asked: dict[str, str]) -> None:
        self.port, self.token, self.rate, self.count = port, token, rate, rate * seconds
        self.asked = list(asked.items())
        self.times: dict[str, list[float]] = defaultdict(list)
        self.wrong: list[str] = []
        self._next = 0
        self._began = 0.0

    async def run(self, clients: int) -> None:
        self._began = time.perf_counter() + 0.5
        await asyncio.gather(*(self._client() for _ in range(clients)))

    async def _client(self) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        while self._next < self.count:
            number, self._next = self._next, self._next + 1
            name, query = self.asked[number % len(self.asked)]
            due = self._began + number / self.rate
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            status, body = await ask(reader, writer, self.token, f"/api/leads?limit={SIZE}{query}")
            self.times[name].append(time.perf_counter() - due)
            if status != 200 or body.count(b'"first_name"') != SIZE:
                self.wrong.append(f"{name}: {status}")
        writer.close()


async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, token: str, path: str) -> tuple[int, bytes]:
    """Return status and body of one request."""
    writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\r\n".encode())
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    length = int(head.partition(b"content-length: ")[2].split(b"\r\n", 1)[0])
    return int(head.split(b" ", 2)[1]), await reader.readexactly(length)


async def second_page(port: int, token: str) -> str:
    """Return the cursor behind the first page."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    _, body = await ask(reader, writer, token, f"/api/leads?limit={SIZE}")
    writer.close()
    found: str = json.loads(body)["next"]
    return found


def fill(url: str, leads: int) -> str:
    """Make the leads, and a user; return a token."""
    with psycopg.connect(url, autocommit=True, row_factory=dict_row) as connection:
        with connection.transaction():
            connection.execute("SELECT set_config('app.organization_id', %s, true)", [ORG])
            connection.execute(FILL.encode(), {"org": ORG, "leads": leads})
        connection.execute("VACUUM ANALYZE")
        accounts.add_user(connection, "benchmark", "operator", UUID(ORG), None)
        return accounts.add_token(connection, "benchmark", "api.py", [], timedelta(days=1))[1]


def processor_seconds(pid: int) -> float:
    """Return the processor time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / measure.TICK


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--leads", type=int, default=50_000)
    parser.add_argument("--rate", type=int, default=50)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--port", type=int, default=18_081)
    given = parser.parse_args()
    with measure.server() as server, tempfile.TemporaryDirectory() as home:
        url = server.create_database("api")
        migrate(url)
        token = fill(url, given.leads)
        environment = {
            **os.environ, "WAREHOUSE_DATABASE_URL": url, "WAREHOUSE_HOME": home,
            "WAREHOUSE_SERVE_PORT": str(given.port),
        }  # fmt: skip
        command = [sys.executable, "-m", "warehouse_pipelines.commands.cli", "serve"]
        with subprocess.Popen(command, env=environment) as serve:
            try:
                wait_for(given.port)
                asked = cases(asyncio.run(second_page(given.port, token)))
                asyncio.run(Clients(given.port, token, given.rate, min(WARM, given.seconds), asked).run(given.clients))
                clients = Clients(given.port, token, given.rate, given.seconds, asked)
                before = processor_seconds(serve.pid)
                with measure.measured(server) as cost:
                    asyncio.run(clients.run(given.clients))
                used = processor_seconds(serve.pid) - before
            finally:
                serve.terminate()
    found: dict[str, Any] = {}
    rows = []
    for name, times in {"all": [one for of in clients.times.values() for one in of], **clients.times}.items():
        ranked = sorted(1000 * one for one in times)
        p50, p99 = ranked[len(ranked) // 2], ranked[int(len(ranked) * 0.99)]
        rows.append([name, str(len(ranked)), f"{p50:.1f}", f"{p99:.1f}", f"{ranked[-1]:.1f}"])
        if name == "all":
            found = {"requests": len(ranked), "p50_ms": round(p50, 1), "p99_ms": round(p99, 1),
                     "worst_ms": round(ranked[-1], 1)}  # fmt: skip
    found |= {"serve_ms": round(1000 * used / found["requests"], 2),
              "postgres_ms": round(1000 * cost.postgres_seconds / found["requests"], 2)}  # fmt: skip
    found |= {"leads": given.leads, "rate": given.rate, "all_right": not clients.wrong, "wrong": clients.wrong[:3],
              "other_cores": round(cost.other_cores, 2)}  # fmt: skip
    print(measure.table(["request", "count", "p50 ms", "p99 ms", "worst ms"], rows))
    print(json.dumps(found))


if __name__ == "__main__":
    main()

"""``serve`` is killed while deliveries come: what it answered with 200 is in the inbox, once."""

import contextlib
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from warehouse_pipelines_tests.harness.http_client import PLAIN
from warehouse_pipelines_tests.harness.serving import SECRETS, contact_event, events, hubspot
from warehouse_pipelines_tests.harness.source_harness import looking
from warehouse_pipelines_tests.harness.subprocesses import Command

SENDERS = 8


@contextlib.contextmanager
def program(url: str, folder: Path) -> Iterator[tuple[Command, str]]:
    """Start ``warehouse serve`` in a process of its own, and wait until it answers."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    secrets = {name.upper(): value for name, value in SECRETS.items()}
    environment = {
        **os.environ, **secrets, "WAREHOUSE_DATABASE_URL": url, "WAREHOUSE_HOME": str(folder),
        "WAREHOUSE_SERVE_PORT": str(port), "WAREHOUSE_PUBLIC_URL": "https://hooks.example.test",
    }  # fmt: skip
    process = Command(["serve"], environment, folder / "said")
    address = f"http://127.0.0.1:{port}"
    try:
        with client_of(address) as client:
            for _ in range(600):
                with contextlib.suppress(httpx.HTTPError):
                    if client.get("/health").status_code == 200:
                        break
                assert process.runs, f"serve ended: {process.said}"
                time.sleep(0.1)
        yield process, address
    finally:
        process.end()


def client_of(address: str) -> httpx.Client:
    return httpx.Client(base_url=address, timeout=60, verify=PLAIN)


class Senders:
    """Threads that deliver numbered events, and remember which were taken."""

    def __init__(self, address: str) -> None:
        self.taken: set[int] = set()
        self._address, self._stop, self._lock = address, threading.Event(), threading.Lock()
        self._pool = ThreadPoolExecutor(SENDERS)
        self._running = [self._pool.submit(self._send, sender) for sender in range(SENDERS)]

    def _send(self, sender: int) -> None:
        with client_of(self._address) as client:
            number = sender
            while not self._stop.is_set():
                if deliver(client, number) == 200:
                    with self._lock:
                        self.taken.add(number)
                number += SENDERS

    def end(self) -> set[int]:
        self._stop.set()
        self._pool.shutdown()
        return self.taken


def deliver(client: httpx.Client, number: int) -> int:
    body = events(contact_event(number))
    headers = {name.replace("_", "-"): value for name, value in hubspot(body).items()}
    try:
        return client.post("/webhooks/hubspot", content=body, headers=headers).status_code
    except httpx.HTTPError:
        return 0


def kept(url: str) -> list[int]:
    rows: list[dict[str, Any]] = (
        looking(url)
        .execute("SELECT (body::jsonb -> 0 ->> 'objectId')::int AS number FROM orchestration.webhook_inbox")
        .fetchall()
    )
    return [row["number"] for row in rows]


def test_no_accepted_delivery_is_lost_or_doubled_when_serve_is_killed(database_url: str, tmp_path: Path) -> None:
    with program(database_url, tmp_path) as (process, address):
        senders = Senders(address)
        deadline = time.monotonic() + 60
        while len(senders.taken) < 40 and time.monotonic() < deadline:
            time.sleep(0.05)
        process.kill()
        taken = senders.end()
    assert len(taken) >= 40
    assert taken <= set(kept(database_url)), "a 200 means that it is in the inbox"
    with program(database_url, tmp_path) as (_, address), client_of(address) as client:
        assert {deliver(client, number) for number in taken} == {200}, "the vendor sends all of them again"
    assert len(kept(database_url)) == len(set(kept(database_url)))


@pytest.mark.slow("a program of its own, which is killed")
def test_what_was_not_committed_when_serve_was_killed_was_not_answered(database_url: str, tmp_path: Path) -> None:
    """A lock holds the commit up; the kill comes between receipt and commit."""
    with program(database_url, tmp_path) as (process, address):
        looking(database_url).execute("BEGIN; LOCK TABLE orchestration.webhook_inbox IN EXCLUSIVE MODE")
        with client_of(address) as client, ThreadPoolExecutor(4) as pool:
            sent = [pool.submit(deliver, client, number) for number in range(4)]
            time.sleep(1)
            process.kill()
            assert [one.result() for one in sent] == [0] * 4
        looking(database_url).execute("ROLLBACK")
    with program(database_url, tmp_path) as (_, address), client_of(address) as client:
        assert [deliver(client, number) for number in range(4)] == [200] * 4
    assert sorted(kept(database_url)) == [0, 1, 2, 3]


@pytest.mark.slow("a program of its own, which is killed")
def test_sigterm_commits_what_has_come_and_ends(database_url: str, tmp_path: Path) -> None:
    with program(database_url, tmp_path) as (process, address):
        senders = Senders(address)
        deadline = time.monotonic() + 60
        while len(senders.taken) < 20 and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send(signal.SIGTERM)
        code, _ = process.ended(60)
        taken = senders.end()
        assert code in (0, -signal.SIGTERM)
    assert taken <= set(kept(database_url))


@pytest.mark.parametrize("setting", [{"WAREHOUSE_SERVE_PORT": "70000"}, {"WAREHOUSE_WEBHOOK_RATE": "none"}])
def test_a_setting_that_cannot_be_used_is_named(setting: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    from click.testing import CliRunner

    from warehouse_pipelines.commands import cli

    [(name, value)] = setting.items()
    monkeypatch.setenv(name, value)
    answer = CliRunner().invoke(cli.main, ["serve"])
    assert answer.exit_code == 2
    assert name in answer.output

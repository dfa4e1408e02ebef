"""Ctrl-C, SIGTERM and SIGHUP on ``warehouse sync``: cancelled, not failed, in Dagster, in the history and on the
terminal.
"""

import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from typing import Any

import dagster as dg
import psycopg
import pytest

from warehouse_pipelines.local.postgres import Server
from warehouse_pipelines_tests.harness.dagster_harness import DagsterHarness, dagster_harness
from warehouse_pipelines_tests.harness.subprocesses import eventually

pytestmark = [pytest.mark.slow("commands, which are cancelled"), pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def shared_harness(
    test_server: Server, template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[DagsterHarness]:
    """A harness in which two CRMs are configured."""
    name = f"cancelled_{uuid.uuid4().hex[:8]}"
    with dagster_harness(test_server, template, tmp_path_factory.mktemp(name), name, contacts=20) as it:
        for setting in it.simulators.environment():
            if not setting.startswith(("HUBSPOT_", "CALLRAIL_")):
                del it.environment[setting]
        yield it


@pytest.fixture
def harness(shared_harness: DagsterHarness) -> DagsterHarness:
    """The harness with an empty history, in which CallRail's calls never come."""
    with psycopg.connect(shared_harness.url, autocommit=True) as connection:
        connection.execute("TRUNCATE orchestration.sync_history")
    shared_harness.simulators.control("callrail", "clear_faults")
    shared_harness.simulators.control("hubspot", "clear_faults")
    shared_harness.simulators.control("callrail", "set_fault", kind="slow", seconds=200, path="calls.json")
    return shared_harness


def started(harness: DagsterHarness, *words: str) -> subprocess.Popen[str]:
    """Start a sync of several parts: it starts processes of its own, which one that was forked here may not."""
    return subprocess.Popen(
        [sys.executable, "-m", "warehouse_pipelines.commands.cli", "sync", *words],
        env=harness.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def query(harness: DagsterHarness, text: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(harness.url) as connection:
        return connection.execute(text).fetchall()


def runs(harness: DagsterHarness, limit: int) -> list[tuple[str, dg.DagsterRunStatus]]:
    with harness.instance() as instance:
        return [(run.job_name, run.status) for run in instance.get_runs(limit=limit)]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupt_cancels_the_run_and_what_was_not_started(harness: DagsterHarness, number: signal.Signals) -> None:
    harness.simulators.control("callrail", "set_fault", kind="slow", seconds=200)
    command = started(harness, "callrail", "all")
    running = "SELECT count(*) FROM orchestration.sync_history WHERE status = 'running'"
    eventually(lambda: query(harness, running) == [(3,)], "it reads as many as the pool allows", 180)
    command.send_signal(number)
    text, _ = command.communicate(timeout=60)
    assert command.returncode == 130, text
    history = query(harness, "SELECT status FROM orchestration.sync_history")
    assert history == [("cancelled",)] * 3
    assert "Cancelled. 0 of 8 were done before. It was in the middle of callrail " in text
    assert "of which nothing was loaded. 5 were not begun." in text
    assert "because what it is read from failed" not in text
    assert runs(harness, 3) == [("sync_callrail_all", dg.DagsterRunStatus.CANCELED)] * 3


def test_several_crms_are_cancelled_together(harness: DagsterHarness) -> None:
    harness.simulators.control("hubspot", "set_fault", kind="slow", seconds=200)
    harness.simulators.control("callrail", "set_fault", kind="slow", seconds=200)
    command = started(harness, "all")
    both = "SELECT crm_source, count(*) FROM orchestration.sync_history WHERE status = 'running' GROUP BY 1 ORDER BY 1"
    eventually(lambda: query(harness, both) == [("callrail", 1), ("hubspot", 3)], "both read", 240)
    command.send_signal(signal.SIGTERM)
    text, _ = command.communicate(timeout=60)
    assert command.returncode == 130, text
    assert "Cancelled. " in text
    statuses = query(harness, "SELECT DISTINCT status FROM orchestration.sync_history")
    assert statuses == [("cancelled",)]
    assert query(harness, "SELECT count(*) FROM orchestration.sync_history") == [(4,)]
    assert sorted(runs(harness, 4)) == [
        ("sync_callrail_all", dg.DagsterRunStatus.CANCELED),
        *[("sync_hubspot_all", dg.DagsterRunStatus.CANCELED)] * 3,
    ]

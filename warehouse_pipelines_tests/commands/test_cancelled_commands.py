"""Ctrl-C, SIGTERM and SIGHUP on ``warehouse sync``: cancelled, not failed, in Dagster, in the history and on the
terminal.

The command runs in this process, which is sent the signal while the processes of its parts read.
"""

import os
import signal
import threading
from collections.abc import Callable

import dagster as dg
import pytest
from click.testing import Result

from warehouse_pipelines.simulators.server import Simulators
from warehouse_pipelines_tests.harness.command_line import rows, warehouse
from warehouse_pipelines_tests.harness.subprocesses import eventually

pytestmark = [
    pytest.mark.usefixtures("configured", "in_a_terminal"),
    pytest.mark.slow("commands, which are cancelled"),
    pytest.mark.timeout(600),
]

READING = "SELECT FROM orchestration.sync_history WHERE status = 'running'"


def interrupted(number: signal.Signals, reading: Callable[[], bool], *words: str) -> Result:
    """Run a command, send this process a signal once the parts read, and return what came of it."""

    def interrupt() -> None:
        eventually(reading, "as many read as may", 240)
        os.kill(os.getpid(), number)

    interrupting = threading.Thread(target=interrupt)
    interrupting.start()
    result = warehouse(*words)
    interrupting.join()
    return result


def runs() -> list[tuple[str, dg.DagsterRunStatus]]:
    with dg.DagsterInstance.get() as instance:
        return [(run.job_name, run.status) for run in instance.get_runs()]


def test_an_interrupt_cancels_the_runs_and_what_was_not_begun(vendors: Simulators, database_url: str) -> None:
    before = len(runs())
    vendors.control("callrail", "set_fault", kind="slow", seconds=200)
    result = interrupted(signal.SIGINT, lambda: len(rows(database_url, READING)) == 3, "sync", "callrail", "all")
    assert result.exit_code == 130, result.output
    assert rows(database_url, "SELECT status FROM orchestration.sync_history") == [("cancelled",)] * 3
    assert "Cancelled. 0 of 8 were done before. It was in the middle of callrail " in result.output
    assert "of which nothing was loaded. 5 were not begun." in result.output
    assert "because what it is read from failed" not in result.output
    assert runs()[: len(runs()) - before] == [("sync_callrail_all", dg.DagsterRunStatus.CANCELED)] * 3


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_parts_of_one_crm_and_another_that_was_not_begun_are_cancelled_together(
    small_vendors: Simulators, database_url: str, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    """Also the one of which no part was begun."""
    before = len(runs())
    monkeypatch.setenv("WAREHOUSE_PARTS_AT_A_TIME", "3")
    for crm in ("leadconduit", "salesrabbit"):
        small_vendors.control(crm, "set_fault", kind="slow", seconds=200)
    result = interrupted(number, lambda: len(rows(database_url, READING)) == 3, "sync", "all")
    assert result.exit_code == 130, result.output
    assert "Cancelled. 0 of 5 were done before." in result.output
    assert " 2 were not begun." in result.output
    assert rows(database_url, "SELECT status FROM orchestration.sync_history") == [("cancelled",)] * 3
    assert sorted(runs()[: len(runs()) - before]) == [
        (f"sync_salesrabbit_{name}", dg.DagsterRunStatus.CANCELED)
        for name in ("lead_status_histories", "leads", "users")
    ]

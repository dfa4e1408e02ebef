"""A run that is cancelled or killed leaves a closed row and no half-loaded table: Dagster's daemon, really killed."""

import os
import re
import signal
import time
from collections.abc import Callable, Iterator

import dagster as dg
import psycopg
import pytest

from warehouse_pipelines.local.postgres import Server
from warehouse_pipelines.orchestration import run_lock
from warehouse_pipelines_tests.harness.dagster_harness import DagsterHarness, dagster_harness

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("dagster_kills"), pytest.mark.timeout(600)]

JOB = "sync_callrail_tags"


@pytest.fixture(scope="module")
def started(test_server: Server, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DagsterHarness]:
    """A world whose daemon runs."""
    with dagster_harness(test_server, template, tmp_path_factory.mktemp("kills"), "dagster_kills") as made:
        made.start("dagster-daemon", "run", "-w", "workspace.yaml")
        yield made


@pytest.fixture
def here(started: DagsterHarness) -> DagsterHarness:
    """The world with nothing in its history but a run that waits a minute for CallRail's tags."""
    with psycopg.connect(started.url, autocommit=True) as connection:
        connection.execute("TRUNCATE orchestration.sync_history, callrail_tag")
    started.simulators.control("callrail", "set_fault", kind="slow", seconds=60, path="tags.json")
    said = started.dagster("job", "launch", "-w", "workspace.yaml", "-j", JOB)
    assert said.returncode == 0, said.stderr
    wait(lambda: rows(started) == [("running", None)], "the run writes its row", started)
    return started


def rows(here: DagsterHarness) -> list[tuple[str, str | None]]:
    """Return status and message of the entity's history, oldest first."""
    with psycopg.connect(here.url) as connection:
        return connection.execute(
            "SELECT status, error_message FROM orchestration.sync_history WHERE sync_type = 'tags' ORDER BY id"
        ).fetchall()


def wait(reached: Callable[[], bool], what: str, here: DagsterHarness, seconds: float = 150) -> None:
    deadline = time.monotonic() + seconds
    while not reached():
        if time.monotonic() > deadline:
            said = {log.name: log.read_text()[-2000:] for log in here.home.glob("*.log")}
            raise TimeoutError(f"not within {seconds} s: {what}; rows {rows(here)}; logs {said}")
        time.sleep(0.5)


def tags(here: DagsterHarness) -> int:
    with psycopg.connect(here.url) as connection:
        found = connection.execute("SELECT count(*) FROM callrail_tag").fetchone()
    assert found is not None
    return int(found[0])


def test_a_run_that_is_cancelled_closes_its_row_and_is_not_tried_again(here: DagsterHarness) -> None:
    with here.instance() as instance:
        run, *before = instance.get_runs()
        assert instance.run_launcher.terminate(run.run_id)
        wait(lambda: rows(here)[0][0] == "cancelled", "the row is closed", here, seconds=30)
        wait(lambda: instance.get_runs()[0].is_finished, "the run ends", here, seconds=60)
        ended, *others = instance.get_runs()
        assert (ended.run_id, ended.status) == (run.run_id, dg.DagsterRunStatus.CANCELED)
        assert len(others) == len(before)
    [(_, message)] = rows(here)
    assert message is not None
    assert "cancel" in message
    assert tags(here) == 0


def test_a_killed_run_worker_leaves_a_closed_row_and_its_run_is_started_once_more(here: DagsterHarness) -> None:
    with here.instance() as instance:
        run, *before = instance.get_runs()
        said = " ".join(entry.message for entry in instance.all_logs(run.run_id))
    worker = re.search(r"pid: (\d+)", said)
    assert worker is not None, said
    here.simulators.control("callrail", "clear_faults")
    os.kill(int(worker[1]), signal.SIGKILL)
    wait(lambda: [status for status, _ in rows(here)] == ["failed", "success"], "closed, then tried again", here)
    assert tags(here) == 6
    again, killed, *_ = here.finished(JOB, count=2 + len(before))
    assert killed.run_id == run.run_id
    assert (killed.status, again.status) == (dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.SUCCESS)


def test_what_a_lost_machine_left_open_is_closed(here: DagsterHarness) -> None:
    """Daemon, code server and worker die at once; Dagster holds the run for started, PostgreSQL frees its locks."""
    [lost, *_] = here.runs(JOB)
    assert lost.status == dg.DagsterRunStatus.STARTED
    assert lost.tags[run_lock.TAG].startswith(lost.run_id)
    [daemon] = here.subprocesses
    os.killpg(daemon.pid, signal.SIGKILL)
    daemon.wait()
    here.subprocesses.clear()
    here.start("dagster-daemon", "run", "-w", "workspace.yaml")
    wait(lambda: rows(here)[0][0] == "failed", "the sensor closes the row", here)
    [(_, message), *_] = rows(here)
    assert message is not None
    assert "died" in message
    assert tags(here) == 0
    with here.instance() as instance:
        wait(lambda: run_status(instance, lost.run_id) == dg.DagsterRunStatus.FAILURE, "the run is ended", here)
        wait(lambda: lost.run_id not in instance.event_log_storage.get_concurrency_run_ids(), "its slot is freed", here)


def run_status(instance: dg.DagsterInstance, run_id: str) -> dg.DagsterRunStatus:
    found = instance.get_run_by_id(run_id)
    assert found is not None
    return found.status

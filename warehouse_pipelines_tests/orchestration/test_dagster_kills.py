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

pytestmark = [
    pytest.mark.slow("Dagster's processes, which are killed"),
    pytest.mark.xdist_group("dagster_kills"),
    pytest.mark.timeout(600),
]

JOB = "sync_callrail_tags"


@pytest.fixture(scope="module")
def shared_harness(
    test_server: Server, template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[DagsterHarness]:
    """A harness whose daemon and code server run."""
    with dagster_harness(test_server, template, tmp_path_factory.mktemp("kills"), "dagster_kills") as made:
        start(made)
        yield made


def start(harness: DagsterHarness) -> None:
    harness.start("dagster-daemon", "run", "-w", str(harness.start_code_server()))


@pytest.fixture
def harness(shared_harness: DagsterHarness) -> DagsterHarness:
    """The harness with nothing in its history but a run that waits a minute for CallRail's tags."""
    with psycopg.connect(shared_harness.url, autocommit=True) as connection:
        connection.execute("TRUNCATE orchestration.sync_history, callrail_tag")
    shared_harness.simulators.control("callrail", "set_fault", kind="slow", seconds=60, path="tags.json")
    said = shared_harness.dagster("job", "launch", "-w", str(shared_harness.home / "workspace.yaml"), "-j", JOB)
    assert said.returncode == 0, said.stderr
    wait(lambda: rows(shared_harness) == [("running", None)], "the run writes its row", shared_harness)
    return shared_harness


def rows(harness: DagsterHarness) -> list[tuple[str, str | None]]:
    """Return status and message of the entity's history, oldest first."""
    with psycopg.connect(harness.url) as connection:
        return connection.execute(
            "SELECT status, error_message FROM orchestration.sync_history WHERE sync_type = 'tags' ORDER BY id"
        ).fetchall()


def wait(reached: Callable[[], bool], what: str, harness: DagsterHarness, seconds: float = 150) -> None:
    deadline = time.monotonic() + seconds
    while not reached():
        if time.monotonic() > deadline:
            said = {log.name: log.read_text()[-2000:] for log in harness.home.glob("*.log")}
            raise TimeoutError(f"not within {seconds} s: {what}; rows {rows(harness)}; logs {said}")
        time.sleep(0.5)


def tags(harness: DagsterHarness) -> int:
    with psycopg.connect(harness.url) as connection:
        found = connection.execute("SELECT count(*) FROM callrail_tag").fetchone()
    assert found is not None
    return int(found[0])


def test_a_run_that_is_cancelled_closes_its_row_and_is_not_tried_again(harness: DagsterHarness) -> None:
    run, *before = harness.runs(JOB)  # not all runs: an hourly job may have begun meanwhile
    with harness.instance() as instance:
        assert instance.run_launcher.terminate(run.run_id)
        wait(lambda: rows(harness)[0][0] == "cancelled", "the row is closed", harness, seconds=30)
        wait(lambda: harness.runs(JOB)[0].is_finished, "the run ends", harness, seconds=60)
        ended, *others = harness.runs(JOB)
        assert (ended.run_id, ended.status) == (run.run_id, dg.DagsterRunStatus.CANCELED)
        assert len(others) == len(before)
    [(_, message)] = rows(harness)
    assert message is not None
    assert "cancel" in message
    assert tags(harness) == 0


def test_a_killed_run_worker_leaves_a_closed_row_and_its_run_is_started_once_more(harness: DagsterHarness) -> None:
    run, *before = harness.runs(JOB)
    with harness.instance() as instance:
        said = " ".join(entry.message for entry in instance.all_logs(run.run_id))
    worker = re.search(r"pid: (\d+)", said)
    assert worker is not None, said
    harness.simulators.control("callrail", "clear_faults")
    os.kill(int(worker[1]), signal.SIGKILL)
    wait(lambda: [status for status, _ in rows(harness)] == ["failed", "success"], "closed, then tried again", harness)
    assert tags(harness) == 6
    again, killed, *_ = harness.finished(JOB, count=2 + len(before))
    assert killed.run_id == run.run_id
    assert (killed.status, again.status) == (dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.SUCCESS)


def test_what_a_lost_machine_left_open_is_closed(harness: DagsterHarness) -> None:
    """Daemon, code server and worker die at once; Dagster holds the run for started, PostgreSQL frees its locks."""
    [lost, *_] = harness.runs(JOB)
    assert lost.status == dg.DagsterRunStatus.STARTED
    assert lost.tags[run_lock.TAG].startswith(lost.run_id)
    for process in harness.subprocesses:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    harness.subprocesses.clear()
    start(harness)
    wait(lambda: rows(harness)[0][0] == "failed", "the sensor closes the row", harness)
    [(_, message), *_] = rows(harness)
    assert message is not None
    assert "died" in message
    assert tags(harness) == 0
    with harness.instance() as instance:
        wait(lambda: run_status(instance, lost.run_id) == dg.DagsterRunStatus.FAILURE, "the run is ended", harness)
        wait(
            lambda: lost.run_id not in instance.event_log_storage.get_concurrency_run_ids(),
            "its slot is freed",
            harness,
        )


def run_status(instance: dg.DagsterInstance, run_id: str) -> dg.DagsterRunStatus:
    found = instance.get_run_by_id(run_id)
    assert found is not None
    return found.status

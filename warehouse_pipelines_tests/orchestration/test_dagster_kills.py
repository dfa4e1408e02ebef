"""A run that is killed leaves a closed row and no half-loaded table: Dagster's daemon, really killed.

One that is cancelled is in ``test_ui_runs``.
"""

import os
import re
import signal
import time
from collections.abc import Callable

import dagster as dg
import psycopg
import pytest

from warehouse_pipelines.orchestration import run_lock
from warehouse_pipelines_tests.harness.dagster_harness import DagsterHarness
from warehouse_pipelines_tests.orchestration.conftest import TAGS, UI

pytestmark = [pytest.mark.slow("Dagster's processes, which are killed"), pytest.mark.timeout(1800)]


@pytest.fixture
def run_id(ui: UI) -> str:
    """A run that waits for CallRail's tags, for longer than a test may take."""
    ui.harness.simulators.control("callrail", "set_fault", kind="slow", seconds=600, path="tags.json")
    run_id = ui.launch()
    wait(lambda: rows(ui.harness) == [("running", None)], "the run writes its row", ui.harness)
    return run_id


def rows(harness: DagsterHarness) -> list[tuple[str, str | None]]:
    """Return status and message of the entity's history, oldest first."""
    with psycopg.connect(harness.url) as connection:
        return connection.execute(
            "SELECT status, error_message FROM orchestration.sync_history WHERE sync_type = 'tags' ORDER BY id"
        ).fetchall()


def wait(reached: Callable[[], bool], what: str, harness: DagsterHarness, seconds: float = 240) -> None:
    deadline = time.monotonic() + seconds
    while not reached():
        if time.monotonic() > deadline:
            said = {log.name: log.read_text()[-2000:] for log in harness.home.glob("*.log")}
            raise TimeoutError(f"not within {seconds} s: {what}; rows {rows(harness)}; logs {said}")
        time.sleep(0.1)


def tags(harness: DagsterHarness) -> int:
    with psycopg.connect(harness.url) as connection:
        found = connection.execute("SELECT count(*) FROM callrail_tag").fetchone()
    assert found is not None
    return int(found[0])


def test_a_killed_run_worker_leaves_a_closed_row_and_its_run_is_started_once_more(ui: UI, run_id: str) -> None:
    harness = ui.harness
    with harness.instance() as instance:
        said = " ".join(entry.message for entry in instance.all_logs(run_id))
    worker = re.search(r"pid: (\d+)", said)
    assert worker is not None, said
    os.kill(int(worker[1]), signal.SIGKILL)
    harness.simulators.control("callrail", "clear_faults")  # not before: the run would go on and might end
    wait(lambda: [status for status, _ in rows(harness)] == ["failed", "success"], "closed, then tried again", harness)
    assert tags(harness) == 6
    again, killed, *_ = harness.finished(TAGS, count=2)
    assert killed.run_id == run_id
    assert again.parent_run_id == run_id
    assert (killed.status, again.status) == (dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.SUCCESS)


def test_what_a_lost_machine_left_open_is_closed(ui: UI, run_id: str) -> None:
    """Daemon, code server and worker die at once; Dagster holds the run for started, PostgreSQL frees its locks."""
    harness = ui.harness
    with harness.instance() as instance:
        lost = instance.get_run_by_id(run_id)
        assert lost is not None
        assert lost.status == dg.DagsterRunStatus.STARTED
        assert lost.tags[run_lock.TAG].startswith(run_id)
        ui.lose()
        harness.simulators.control("callrail", "clear_faults")
        wait(lambda: rows(harness)[0][0] == "failed", "the sensor closes the row", harness)
        [(_, message), *_] = rows(harness)
        assert message is not None
        assert "died" in message
        wait(lambda: run_status(instance, run_id) == dg.DagsterRunStatus.FAILURE, "the run is ended", harness)
        wait(lambda: run_id not in instance.event_log_storage.get_concurrency_run_ids(), "its slot is freed", harness)
    wait(lambda: ended_after(harness, run_id) == [dg.DagsterRunStatus.SUCCESS], "it is started once more", harness)


def ended_after(harness: DagsterHarness, run_id: str) -> list[dg.DagsterRunStatus]:
    """Return the states of the ended runs that Dagster has started in place of this one."""
    return [run.status for run in harness.runs(TAGS) if run.parent_run_id == run_id and run.is_finished]


def run_status(instance: dg.DagsterInstance, run_id: str) -> dg.DagsterRunStatus:
    found = instance.get_run_by_id(run_id)
    assert found is not None
    return found.status

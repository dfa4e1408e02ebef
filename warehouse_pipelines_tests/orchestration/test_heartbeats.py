"""A run is executed by the process that claimed it, and whoever launched it learns of that process's silence."""

import contextlib
import os
import signal
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import dagster as dg
import pytest
import sqlalchemy as sa
from dagster._core.errors import DagsterExecutionInterruptedError
from dagster._core.launcher import WorkerStatus
from dagster._core.storage.runs.schema import KeyValueStoreTable as Values
from dagster._core.utils import make_new_run_id
from dagster._utils.interrupts import capture_interrupts
from dagster_celery.tags import DAGSTER_CELERY_TASK_ID_TAG

from warehouse_pipelines.errors import NotConfigured
from warehouse_pipelines.orchestration import celery_launcher, heartbeats, run_lock
from warehouse_pipelines.orchestration.celery_launcher import Launcher
from warehouse_pipelines.orchestration.heartbeats import Heartbeat, HeartbeatMonitor, _connection
from warehouse_pipelines_tests.harness.subprocesses import eventually


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:
        yield made


def started(
    instance: dg.DagsterInstance,
    status: dg.DagsterRunStatus = dg.DagsterRunStatus.STARTED,
    tags: Mapping[str, str] | None = None,
) -> dg.DagsterRun:
    return instance.add_run(dg.DagsterRun(job_name="sync", run_id=make_new_run_id(), status=status, tags=tags))


def claims(instance: dg.DagsterInstance) -> dict[str, str]:
    with _connection(instance) as opened:
        return {key: value for _, key, value in opened.execute(sa.select(Values))}


def test_a_run_that_is_delivered_twice_is_claimed_once(instance: dg.DagsterInstance) -> None:
    with Heartbeat(instance, "run") as first, Heartbeat(instance, "run") as second:
        assert (first.claimed, second.claimed) == (True, False)
    assert claims(instance) == {}


def test_the_claim_of_the_first_stays_when_the_second_ends(instance: dg.DagsterInstance) -> None:
    with Heartbeat(instance, "run"):
        with Heartbeat(instance, "run"):
            pass
        assert len(claims(instance)) == 1


def test_what_a_killed_process_left_is_removed_by_the_next_a_day_later(instance: dg.DagsterInstance) -> None:
    with _connection(instance) as opened:
        opened.execute(sa.insert(Values).values(key=f"{heartbeats.PREFIX}old", value="2026-01-01T00:00:00 host:1"))
        opened.execute(sa.insert(Values).values(key="of Dagster", value="2026-01-01T00:00:00"))
    with Heartbeat(instance, "new"):
        assert claims(instance).keys() == {f"{heartbeats.PREFIX}new", "of Dagster"}


def test_a_process_that_beats_is_alive_and_a_silent_one_is_not(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    # In files, where a thread waits for another one; in memory SQLite says at once that a table is locked.
    monkeypatch.setattr(heartbeats, "BEAT_SECONDS", 0.05)
    monkeypatch.setattr(heartbeats, "SILENT_SECONDS", 0.5)
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        run, monitor = started(instance), HeartbeatMonitor()
        with Heartbeat(instance, run.run_id):
            for _ in range(8):
                assert monitor.silent_seconds(instance, run.run_id) == 0.0
                time.sleep(0.15)
        eventually(lambda: monitor.silent_seconds(instance, run.run_id) >= 0.5, "it is silent", 10)


def test_an_outage_of_the_storage_is_no_silence(instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first look afterwards finds the value of before, because the process had no chance yet to write another."""
    monkeypatch.setattr(heartbeats, "SILENT_SECONDS", 0.2)
    monitor = HeartbeatMonitor()
    with _connection(instance) as opened:
        opened.execute(sa.insert(Values).values(key=f"{heartbeats.PREFIX}run", value="one"))
    assert monitor.silent_seconds(instance, "run") == 0.0
    time.sleep(0.3)
    assert monitor.silent_seconds(instance, "run") == 0.0
    assert monitor.silent_seconds(instance, "run") > 0.2


@pytest.mark.parametrize("status", [dg.DagsterRunStatus.CANCELING, dg.DagsterRunStatus.FAILURE])
def test_a_process_whose_run_is_not_wanted_any_more_interrupts_itself(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch, status: dg.DagsterRunStatus
) -> None:
    monkeypatch.setattr(heartbeats, "BEAT_SECONDS", 0.05)
    run = started(instance, status)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt), Heartbeat(instance, run.run_id):
            time.sleep(20)
    finally:
        signal.signal(signal.SIGINT, before)
    assert claims(instance) == {}


def test_a_run_that_is_cancelled_ends_itself(instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the task of a worker executes it, in the middle of an op."""
    monkeypatch.setattr(heartbeats, "BEAT_SECONDS", 0.05)

    @dg.op
    def wait(context: dg.OpExecutionContext) -> None:
        with Heartbeat(instance, context.run_id):
            instance.report_run_canceling(context.run)
            time.sleep(60)

    @dg.job
    def waiting() -> None:
        wait()

    began = time.monotonic()
    with capture_interrupts(), contextlib.suppress(KeyboardInterrupt, DagsterExecutionInterruptedError):
        waiting.execute_in_process(instance=instance, raise_on_error=False)
    (run,) = instance.get_runs()
    assert run.status == dg.DagsterRunStatus.CANCELED
    assert time.monotonic() - began < 50


@pytest.fixture
def launcher(instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch) -> Launcher:
    """A launcher whose broker does not answer: health and cancelling need none."""
    monkeypatch.setenv("WAREHOUSE_CELERY_BROKER_URL", "redis://:secret@127.0.0.1:1/0")
    made = Launcher.from_config_value(None, {"default_queue": "dagster"})
    made.register_instance(instance)
    return made


def test_the_launcher_fails_a_run_whose_worker_is_silent(
    instance: dg.DagsterInstance, launcher: Launcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heartbeats, "SILENT_SECONDS", 0.1)
    monkeypatch.setattr(celery_launcher, "_monitor", HeartbeatMonitor())
    run = started(instance, tags={DAGSTER_CELERY_TASK_ID_TAG: "task"})
    with Heartbeat(instance, run.run_id):
        assert launcher.check_run_worker_health(run).status == WorkerStatus.RUNNING
    found = [launcher.check_run_worker_health(run) for _ in range(3)]
    time.sleep(0.2)
    found.append(launcher.check_run_worker_health(run))
    assert [one.status for one in found] == [WorkerStatus.RUNNING] * 3 + [WorkerStatus.FAILED]
    assert "was not heard of" in (found[-1].msg or "")


def test_the_launcher_fails_no_run_of_the_command_line(
    instance: dg.DagsterInstance, launcher: Launcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is executed by the process that wrote it, and has no heartbeat."""
    monkeypatch.setattr(heartbeats, "SILENT_SECONDS", 0.01)
    monkeypatch.setattr(celery_launcher, "_monitor", HeartbeatMonitor())
    run = started(instance)
    for _ in range(4):
        time.sleep(0.02)
        assert launcher.check_run_worker_health(run).status == WorkerStatus.RUNNING


def test_a_run_is_cancelled_without_the_broker(
    instance: dg.DagsterInstance, launcher: Launcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launcher.celery.control, "revoke", lambda task: os.kill(os.getpid(), 0))
    run = started(instance)
    assert launcher.terminate(run.run_id)
    again = instance.get_run_by_id(run.run_id)
    assert again is not None
    assert again.status == dg.DagsterRunStatus.CANCELING
    assert not launcher.terminate("no such run")


def test_a_missing_broker_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WAREHOUSE_CELERY_BROKER_URL", raising=False)
    with pytest.raises(NotConfigured, match="WAREHOUSE_CELERY_BROKER_URL is missing"):
        Launcher.from_config_value(None, {"default_queue": "dagster"})


def test_a_claim_that_somebody_removed_is_written_again(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker whose clock is a day ahead takes every claim for one of yesterday."""
    monkeypatch.setattr(heartbeats, "BEAT_SECONDS", 0.05)
    run = started(instance)
    with Heartbeat(instance, run.run_id):
        with _connection(instance) as opened:
            opened.execute(sa.delete(Values))
        eventually(lambda: len(claims(instance)) == 1, "the claim is there again")


def test_the_id_of_a_task_is_stored_before_it_is_sent(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker stores tags as soon as it has the task, and two who store at a time overwrite each other."""
    run = started(instance, dg.DagsterRunStatus.STARTING)
    launcher = Launcher("redis://127.0.0.1:1/0", "dagster")
    launcher.register_instance(instance)
    sent: list[tuple[str, str]] = []

    class Task:
        def apply_async(self, task_id: str, queue: str, **more: object) -> None:
            stored = instance.get_run_by_id(run.run_id)
            assert stored is not None
            sent.append((task_id, stored.tags[DAGSTER_CELERY_TASK_ID_TAG]))
            instance.add_run_tags(run.run_id, {run_lock.TAG: "held"})

    launcher._launch_celery_task_run(run, Task(), "execute_job")
    stored = instance.get_run_by_id(run.run_id)
    assert stored is not None
    assert sent == [(stored.tags[DAGSTER_CELERY_TASK_ID_TAG],) * 2]
    assert stored.tags[run_lock.TAG] == "held"

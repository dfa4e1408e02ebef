"""A run that is asked to stop stops, whatever it does: CANCELED in Dagster, cancelled in the history, nothing loaded.

One that waits for an answer is in ``test_ui_runs``.

The run is executed as Dagster's code server does it, in a process of its own that gets one interrupt and no second. It
has three parts, each in a process (``side_by_side``).
"""

import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import dagster as dg
import psycopg
import pytest

from warehouse_pipelines.local.postgres import Server
from warehouse_pipelines.orchestration import run_lock
from warehouse_pipelines_tests.harness.dagster_harness import DagsterHarness, dagster_harness
from warehouse_pipelines_tests.harness.subprocesses import Worker, eventually

pytestmark = [pytest.mark.slow("Dagster's processes, which are stopped"), pytest.mark.timeout(600)]

POOL = "callrail_api"


@pytest.fixture(scope="module")
def shared_harness(
    test_server: Server, template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[DagsterHarness]:
    name = f"terminate_{uuid.uuid4().hex[:8]}"
    folder, more = tmp_path_factory.mktemp(name), {"WAREHOUSE_RETRY_SECONDS": "1"}
    with dagster_harness(test_server, template, folder, name, contacts=20, vendors=["callrail"], **more) as it:
        yield it


@pytest.fixture
def harness(shared_harness: DagsterHarness) -> DagsterHarness:
    """The harness with an empty history, no faults and three slots of the pool."""
    with psycopg.connect(shared_harness.url, autocommit=True) as connection:
        connection.execute("TRUNCATE orchestration.sync_history, orchestration.request_budget, callrail_call CASCADE")
    shared_harness.simulators.control("callrail", "clear_faults")
    with shared_harness.instance() as instance:
        instance.event_log_storage.set_concurrency_slots(POOL, 3)
    return shared_harness


def query(harness: DagsterHarness, text: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(harness.url) as connection:
        return connection.execute(text).fetchall()


def begun(harness: DagsterHarness, sync_type: str = "calls") -> Callable[[], bool]:
    """Return whether the run is at an entity that is not its first."""
    return lambda: [status for status, _, _ in harness.history(sync_type)] == ["running"]


def said(harness: DagsterHarness, text: str) -> Callable[[], bool]:
    """Return whether the log of the newest run has a text."""

    def look() -> bool:
        with harness.instance() as instance:
            [run] = instance.get_runs(limit=1)
            return any(text in entry.user_message for entry in instance.all_logs(run.run_id))

    return look


@contextmanager
def backing_off(harness: DagsterHarness) -> Iterator[Callable[[], bool]]:
    """The vendor asks to wait."""
    harness.simulators.control("callrail", "set_fault", kind="rate_limit", retry_after=300, path="calls.json")
    yield said(harness, "attempt 1 of 7, next in 300")


@contextmanager
def waiting_for_the_budget(harness: DagsterHarness) -> Iterator[Callable[[], bool]]:
    harness.simulators.control("callrail", "set_fault", kind="slow", seconds=3, path="calls.json", times=1)
    yield begun(harness)
    with psycopg.connect(harness.url, autocommit=True) as connection:
        connection.execute("UPDATE orchestration.request_budget SET used = 1000000 WHERE budget LIKE '%hour%'")


@contextmanager
def waiting_for_its_next_attempt(harness: DagsterHarness) -> Iterator[Callable[[], bool]]:
    """The vendor asks for an hour, so the step is tried again after half a minute, and after the others of the run."""
    harness.simulators.control("callrail", "set_fault", kind="rate_limit", retry_after=3600, path="calls.json")
    ended = "SELECT count(*) FILTER (WHERE status = 'success'), count(*) FROM orchestration.sync_history"
    yield lambda: query(harness, ended) == [(7, 8)]


@contextmanager
def waiting_for_a_slot(harness: DagsterHarness) -> Iterator[Callable[[], bool]]:
    """Another run has the only slot of the vendor's pool."""
    with harness.instance() as instance:
        storage = instance.event_log_storage
        storage.set_concurrency_slots(POOL, 1)
        other = created(instance)
        assert storage.claim_concurrency_slot(POOL, other, "callrail_call").is_claimed
        try:
            yield lambda: any(waiting.run_id != other for waiting in storage.get_concurrency_info(POOL).pending_steps)
        finally:
            storage.free_concurrency_slots_for_run(other)
            instance.delete_run(other)


@contextmanager
def merging(harness: DagsterHarness) -> Iterator[Callable[[], bool]]:
    with psycopg.connect(harness.url) as holder:
        holder.execute("LOCK TABLE callrail_call IN EXCLUSIVE MODE")
        yield lambda: bool(
            query(
                harness,
                "SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock' "
                "AND application_name = 'warehouse-loader'",
            )
        )


@contextmanager
def between_steps(harness: DagsterHarness) -> Iterator[Callable[[], bool]]:
    harness.simulators.control("callrail", "set_fault", kind="slow", seconds=1)
    yield lambda: query(harness, "SELECT count(*) >= 2 FROM orchestration.sync_history WHERE status = 'success'")[0][0]


MOMENTS: list[Callable[[DagsterHarness], AbstractContextManager[Callable[[], bool]]]] = [
    backing_off,
    waiting_for_the_budget,
    waiting_for_its_next_attempt,
    waiting_for_a_slot,
    merging,
    between_steps,
]


@pytest.mark.parametrize("moment", MOMENTS, ids=lambda moment: moment.__name__)
def test_a_run_stops_when_it_is_asked_to(
    harness: DagsterHarness, moment: Callable[[DagsterHarness], AbstractContextManager[Callable[[], bool]]]
) -> None:
    with harness.instance() as instance, moment(harness) as reached:
        run_id = created(instance)
        worker = Worker(run_id, harness.environment, harness.home / f"worker-{run_id}.log")
        eventually(reached, "it gets there", 120, pause=0.1)
        time.sleep(0.3)
        run = instance.get_run_by_id(run_id)
        assert run is not None
        instance.report_run_canceling(run)
        worker.interrupt()
        eventually(lambda: ended(instance, run_id), "it ends before what it waits for comes", 100, pause=0.1)
        assert ended(instance, run_id) == dg.DagsterRunStatus.CANCELED
        worker.ended()
        info = instance.event_log_storage.get_concurrency_info(POOL)
        assert run_id not in info.active_run_ids | info.assigned_run_ids | info.pending_run_ids
    statuses = query(harness, "SELECT status, error_message FROM orchestration.sync_history ORDER BY id")
    assert "running" not in {status for status, _ in statuses}
    if moment is waiting_for_its_next_attempt:
        assert sorted(status for status, _ in statuses) == ["failed", *["success"] * 7]
    elif moment is waiting_for_a_slot:
        assert statuses == []
    elif moment is between_steps:
        assert {status for status, _ in statuses} == {"success", "cancelled"}
        assert len(statuses) < 8, "it did not go on to the end"
    else:
        messages = [message for status, message in statuses if status == "cancelled"]
        assert messages, statuses
        assert all(message.startswith("cancelled after ") for message in messages)
        assert query(harness, "SELECT count(*) FROM callrail_call") == [(0,)]
        sessions = "SELECT FROM pg_stat_activity WHERE application_name = 'warehouse-loader'"
        eventually(lambda: query(harness, sessions) == [], "its sessions end")


def test_the_parts_of_a_run_end_with_its_process(harness: DagsterHarness) -> None:
    harness.simulators.control("callrail", "set_fault", kind="slow", seconds=600)
    going = "SELECT count(*) FROM orchestration.sync_history WHERE status = 'running'"
    with harness.instance() as instance:
        run_id = created(instance)
        worker = Worker(run_id, harness.environment, harness.home / f"worker-{run_id}.log")
        eventually(lambda: query(harness, going) == [(3,)], "three parts read at a time", 120, pause=0.1)
        worker.kill()
        sessions = "SELECT FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        eventually(lambda: query(harness, sessions) == [], "no process of the run is left", 20)
        harness.simulators.control("callrail", "clear_faults")
        assert run_lock.close_dead_runs(instance, harness.url) == [run_id]
    assert query(harness, going) == [(0,)]


def created(instance: dg.DagsterInstance) -> str:
    from warehouse_pipelines.definitions import defs

    job = defs.resolve_job_def("sync_callrail_all")
    return instance.create_run_for_job(job, tags=job.run_tags).run_id


def ended(instance: dg.DagsterInstance, run_id: str) -> dg.DagsterRunStatus | None:
    run = instance.get_run_by_id(run_id)
    assert run is not None
    return run.status if run.is_finished else None

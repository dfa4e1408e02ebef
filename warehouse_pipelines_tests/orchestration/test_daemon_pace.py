"""How often the daemon reads the workspace anew and asks code servers, and how its threads wait."""

import logging
import sys
import threading
import time
from collections.abc import Iterator
from types import ModuleType, SimpleNamespace
from typing import Any, cast

import dagster as dg
import pytest
from dagster._core.remote_origin import GrpcServerCodeLocationOrigin, ManagedGrpcPythonEnvCodeLocationOrigin
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from dagster._daemon.controller import DagsterDaemonController
from dagster._daemon.daemon import DagsterDaemon, IntervalDaemon
from dagster._daemon.run_coordinator.queued_run_coordinator_daemon import QueuedRunCoordinatorDaemon
from dagster_shared.error import SerializableErrorInfo

from warehouse_pipelines.orchestration import daemon_pace

SERVER = GrpcServerCodeLocationOrigin(host="127.0.0.1", port=1)
CHILD = ManagedGrpcPythonEnvCodeLocationOrigin(LoadableTargetOrigin(module_name="some.module"))


def read(origin: Any, seconds_ago: float, error: Any = None) -> bool:
    """Return whether the daemon reads the workspace, so long after the last time."""
    refreshed: list[bool] = []
    entry = SimpleNamespace(origin=origin, load_error=error, code_location=None if error else object())
    context = SimpleNamespace(
        get_current_workspace=lambda: SimpleNamespace(code_location_entries={"warehouse": entry}),
        refresh_workspace=lambda: refreshed.append(True),
    )
    controller: Any = DagsterDaemonController.__new__(DagsterDaemonController)
    controller._workspace_process_context = context
    controller._grpc_server_registry = None
    controller.check_workspace_freshness(time.time() - seconds_ago)
    return bool(refreshed)


@pytest.fixture(autouse=True)
def slowed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The daemon of this process at its slow pace."""
    from dagster._grpc import server_watcher

    monkeypatch.setattr(server_watcher, "WATCH_INTERVAL", server_watcher.WATCH_INTERVAL)
    for one, name in (
        (DagsterDaemonController, "check_workspace_freshness"), (IntervalDaemon, "core_loop"),
        (DagsterDaemon, "_check_add_heartbeat"), (QueuedRunCoordinatorDaemon, "_get_runs_to_dequeue"),
    ):  # fmt: skip
        monkeypatch.setattr(one, name, getattr(one, name))
    monkeypatch.delattr(DagsterDaemonController, "_read_workspace", raising=False)
    monkeypatch.setitem(sys.modules, daemon_pace.DAEMON, ModuleType(daemon_pace.DAEMON))
    daemon_pace.slow_down()
    daemon_pace.slow_down()


def test_a_code_server_that_is_watched_is_read_anew_every_hour() -> None:
    assert not read(SERVER, 90)
    assert read(SERVER, 3700)


def test_a_location_that_could_not_be_loaded_is_read_anew_every_minute() -> None:
    assert read(SERVER, 90, error="it does not answer")


def test_a_code_server_of_the_daemon_itself_is_read_anew_every_minute() -> None:
    assert read(CHILD, 90)
    assert not read(CHILD, 30)


def test_a_thread_of_the_daemon_sleeps_to_its_next_iteration_and_ends_at_once_when_it_is_told_to() -> None:
    iterations: list[float] = []
    shutdown = threading.Event()

    def iterate(_: Any) -> list[Any]:
        iterations.append(time.monotonic())
        return []

    thread: Any = SimpleNamespace(interval_seconds=3600, run_iteration=iterate)
    loop = IntervalDaemon.core_loop(thread, cast("Any", None), shutdown)
    next(loop), next(loop)
    threading.Timer(0.2, shutdown.set).start()
    assert next(loop) is None
    assert time.monotonic() - iterations[0] < 30, "it slept through the request to end"
    assert len(iterations) == 1


def test_an_iteration_that_fails_is_told_and_the_next_one_follows() -> None:
    done: list[str] = []

    def iterate(_: Any) -> Iterator[Any]:
        done.append("one")
        raise RuntimeError("the storage is away")
        yield

    thread: Any = SimpleNamespace(interval_seconds=0, run_iteration=iterate, _logger=logging.getLogger("test"))
    loop = IntervalDaemon.core_loop(thread, cast("Any", None), threading.Event())
    told = [next(loop) for _ in range(6)]
    assert any("the storage is away" in one.message for one in told if isinstance(one, SerializableErrorInfo))
    assert len(done) == 2


def test_runs_are_taken_from_the_queue_only_if_there_are_some() -> None:
    queued: list[str] = []

    def run_ids(asked: dg.RunsFilter, limit: int) -> list[str]:
        assert asked.statuses == [dg.DagsterRunStatus.QUEUED]
        return queued[:limit]

    instance: Any = SimpleNamespace(get_run_ids=run_ids)
    taken = daemon_pace._if_queued(lambda daemon, instance: ["looked"])
    assert taken(None, instance) == []
    queued.append("a run")
    assert taken(None, instance) == ["looked"]


def test_a_webserver_only_watches_at_the_slow_pace(monkeypatch: pytest.MonkeyPatch) -> None:
    from dagster._grpc import server_watcher

    monkeypatch.delitem(sys.modules, daemon_pace.DAEMON)
    monkeypatch.setitem(sys.modules, daemon_pace.WEBSERVER, ModuleType(daemon_pace.WEBSERVER))
    monkeypatch.delattr(DagsterDaemonController, "_read_workspace")
    monkeypatch.setattr(server_watcher, "WATCH_INTERVAL", 1)
    daemon_pace.slow_down()
    assert server_watcher.WATCH_INTERVAL == daemon_pace.WATCH_SECONDS
    assert not hasattr(DagsterDaemonController, "_read_workspace")

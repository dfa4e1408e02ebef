"""What Dagster's daemon does less often than by default, or at less cost, because it waits for nearly all of a day.

- It reads the whole workspace anew every hour instead of every minute. Each reading fetches and unpacks the
  definitions of all jobs, which was 59 % of what an idle daemon used. A code server is watched all the time by Dagster
  itself, which reads the definitions anew when another one answers there; so rereading by the clock finds nothing new.
  It still happens every minute while a location failed to load, and for code servers that the daemon started itself,
  because nothing watches those.
- It asks a watched code server every five seconds who it is, and not every second.
- Its threads sleep until they have something to do, and do not wake up twice a second, which was a third of the rest.
- They write that they are alive every ``HEARTBEAT_SECONDS``, and not every 30.
- What counts how many runs are under way does so while any is in the queue.

None of it is a setting of Dagster's, so names of its modules are replaced.
"""

import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import dagster as dg

EVERY_SECONDS = 3600.0
WATCH_SECONDS = 5

HEARTBEAT_SECONDS = 60.0
"""``daemon_silent`` is an alert after five minutes, and Dagster's UI after half an hour."""

DAEMON, WEBSERVER = "dagster._daemon.cli", "dagster_webserver.cli"
"""The modules of the programs that watch code servers; the daemon also rereads. Others are spared the imports."""


def slow_down() -> None:
    """Set the pace, if this process is a daemon or a webserver."""
    if not {DAEMON, WEBSERVER} & sys.modules.keys():
        return
    from dagster._grpc import server_watcher

    server_watcher.WATCH_INTERVAL = WATCH_SECONDS
    if DAEMON not in sys.modules:
        return
    from dagster._daemon import controller as module
    from dagster._daemon import daemon
    from dagster._daemon.run_coordinator.queued_run_coordinator_daemon import QueuedRunCoordinatorDaemon

    if hasattr(module.DagsterDaemonController, "_read_workspace"):
        return
    controller: Any = module.DagsterDaemonController
    controller._read_workspace = controller.check_workspace_freshness
    controller.check_workspace_freshness = _check
    interval: Any = daemon.IntervalDaemon
    interval.core_loop = _core_loop
    each: Any = daemon.DagsterDaemon
    each._check_add_heartbeat = _rarer(each._check_add_heartbeat)
    queue: Any = QueuedRunCoordinatorDaemon
    queue._get_runs_to_dequeue = _if_queued(queue._get_runs_to_dequeue)


def _core_loop(daemon: Any, context: Any, shutdown: threading.Event) -> Iterator[Any]:
    """Do as ``IntervalDaemon.core_loop``, in one sleep between two iterations and not in many."""
    from dagster._daemon.daemon import SpanMarker
    from dagster._utils.error import serializable_error_info_from_exc_info

    while True:
        began = time.monotonic()
        yield SpanMarker.START_SPAN
        try:
            yield from daemon.run_iteration(context)
        except Exception:
            error = serializable_error_info_from_exc_info(sys.exc_info())
            daemon._logger.error("Caught error:\n%s", error)
            yield error
        yield SpanMarker.END_SPAN
        while (left := began + daemon.interval_seconds - time.monotonic()) > 0 and not shutdown.is_set():
            shutdown.wait(min(left, HEARTBEAT_SECONDS))
            yield None
        yield None


def _rarer(add_heartbeat: Callable[..., None]) -> Callable[..., None]:
    def add(daemon: Any, instance: Any, daemon_uuid: str, seconds: float, error_seconds: int) -> None:
        add_heartbeat(daemon, instance, daemon_uuid, max(seconds, HEARTBEAT_SECONDS), error_seconds)

    return add


def _if_queued(find: Callable[..., Any]) -> Callable[..., Any]:
    def runs_to_dequeue(daemon: Any, instance: dg.DagsterInstance, *given: Any, **named: Any) -> Any:
        queued = dg.RunsFilter(statuses=[dg.DagsterRunStatus.QUEUED])
        return find(daemon, instance, *given, **named) if instance.get_run_ids(queued, limit=1) else []

    return runs_to_dequeue


def _check(controller: Any, last: float) -> float:
    """Do as ``check_workspace_freshness``, but later while every location is watched and was loaded."""
    if time.time() - last < EVERY_SECONDS and _is_watched(controller._workspace_process_context):
        return last
    read: float = controller._read_workspace(last)
    return read


def _is_watched(context: Any) -> bool:
    from dagster._core.remote_origin import GrpcServerCodeLocationOrigin

    entries = context.get_current_workspace().code_location_entries.values()
    return all(
        isinstance(entry.origin, GrpcServerCodeLocationOrigin) and entry.load_error is None and entry.code_location
        for entry in entries
    )

"""How often Dagster's daemon reads the whole workspace anew: every hour instead of every minute.

Each reading fetches and unpacks the definitions of all jobs, which was 59 % of what an idle daemon used. A code server
is watched all the time by Dagster itself, which reads the definitions anew when another one answers there; so rereading
by the clock finds nothing new. It still happens every minute while a location failed to load, and for code servers that
the daemon started itself, because nothing watches those.

A watched code server is asked every five seconds who it is, for which it opens a connection each time.
"""

import sys
import time
from typing import Any

EVERY_SECONDS = 3600.0
WATCH_SECONDS = 5

DAEMON, WEBSERVER = "dagster._daemon.cli", "dagster_webserver.cli"
"""The modules of the programs that watch code servers; the daemon also rereads. Others are spared the imports."""


def refresh_hourly() -> None:
    """Set the pace, if this process is a daemon or a webserver."""
    if not {DAEMON, WEBSERVER} & sys.modules.keys():
        return
    from dagster._grpc import server_watcher

    server_watcher.WATCH_INTERVAL = WATCH_SECONDS
    if DAEMON not in sys.modules:
        return
    from dagster._daemon import controller as module

    if hasattr(module.DagsterDaemonController, "_read_workspace"):
        return
    controller: Any = module.DagsterDaemonController
    controller._read_workspace = controller.check_workspace_freshness
    controller.check_workspace_freshness = _check


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

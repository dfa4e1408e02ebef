"""What Dagster's daemon does less often than by default, or at less cost, because it waits for nearly all of a day.

- It reads the whole workspace anew every hour instead of every minute. Each reading fetches and unpacks the definitions
  of all jobs, which was 59 % of what an idle daemon used. A code server is watched all the time by Dagster itself, which
  reads the definitions anew when another one answers there; so rereading by the clock finds nothing new. It still happens
  every minute while a location failed to load, and for code servers that the daemon started itself, because nothing
  watches those.
- It asks a watched code server every five seconds who it is, and not every second.
- It keeps the connection to a code server, which it opens for each question otherwise.
- It looks every ``SENSOR_SECONDS`` which sensor is due, and not every five seconds.

None of it is a setting of Dagster's, so names of its modules are replaced.
"""

import contextlib
import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import grpc

EVERY_SECONDS = 3600.0
WATCH_SECONDS = 5

SENSOR_SECONDS = 15
"""No sensor looks more often than every minute, and a tick may be as late as this."""

RECONNECT_MILLISECONDS = 5_000
"""A kept connection to a code server that was away is tried again after so long at most; by default after two minutes."""

DAEMON, WEBSERVER = "dagster._daemon.cli", "dagster_webserver.cli"
"""The modules of the programs that watch code servers; the daemon also rereads. Others are spared the imports."""


def slow_down() -> None:
    """Set the pace, if this process is a daemon or a webserver."""
    if not {DAEMON, WEBSERVER} & sys.modules.keys():
        return
    from dagster._grpc import client, server_watcher

    server_watcher.WATCH_INTERVAL = WATCH_SECONDS
    if DAEMON not in sys.modules:
        return
    from dagster._daemon import controller as module
    from dagster._daemon import sensor

    client_class: Any = client.DagsterGrpcClient
    client_class._channel = _kept_channel
    sensor.MIN_INTERVAL_LOOP_TIME = SENSOR_SECONDS
    if hasattr(module.DagsterDaemonController, "_read_workspace"):
        return
    controller: Any = module.DagsterDaemonController
    controller._read_workspace = controller.check_workspace_freshness
    controller.check_workspace_freshness = _check


@contextlib.contextmanager
def _kept_channel(client: Any) -> "Iterator[grpc.Channel]":
    """Do as ``DagsterGrpcClient._channel``, with one channel for all questions of a client; it is closed with that."""
    import grpc
    from dagster._grpc.utils import max_rx_bytes, max_send_bytes

    channel = client.__dict__.get("_kept")
    if channel is None:
        options = [
            ("grpc.max_receive_message_length", max_rx_bytes()),
            ("grpc.max_send_message_length", max_send_bytes()),
            ("grpc.max_reconnect_backoff_ms", RECONNECT_MILLISECONDS),
        ]
        how: Any = {"options": options, "compression": grpc.Compression.Gzip}
        if client.use_ssl:
            channel = grpc.secure_channel(client._server_address, client._ssl_creds, **how)
        else:
            channel = grpc.insecure_channel(client._server_address, **how)
        client._kept = channel
    yield channel


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

"""``dagster dev`` whose code server comes back when it is killed; `warehouse ui` runs it.

Dagster's code server is two processes: a proxy, ``dagster code-server start``, and behind it ``dagster api grpc``,
which has the definitions. ``dagster dev`` starts a proxy again that ended. When what is behind it ended, as on a
machine without memory, the proxy answers heartbeats all the same: the UI and the daemon look well, and no schedule,
sensor or run begins until somebody reloads the code. So every ``LOOK_SECONDS`` the proxy is asked for what only the
process behind it answers, and told to start another one where that is away ``TIMES`` in a row. What answers slowly is
not away.

None of it is a setting of Dagster's, so a method of its module is replaced. Seen in Dagster 1.13.
"""

import contextlib
import logging
import threading
from typing import Any

import grpc
from dagster._cli import main
from dagster._cli.proxy_server_manager import ProxyServerManager
from dagster._core.errors import DagsterUserCodeUnreachableError

log = logging.getLogger("dagster")

LOOK_SECONDS = 5.0
TIMES = 2
RELOAD_SECONDS = 180
"""As long as the definitions may take to be imported: ``start_timeout_seconds`` of ``dagster.yaml``."""


def revive_code_servers() -> None:
    """Let this process look after what is behind the proxies that it starts."""
    manager: Any = ProxyServerManager
    watch = manager._process_monitoring_thread

    def watch_both(self: Any, server: Any) -> None:
        ended = threading.Event()
        threading.Thread(target=look_after, args=(server, ended), name="code-server-revival", daemon=True).start()
        try:
            watch(self, server)
        finally:
            ended.set()

    manager._process_monitoring_thread = watch_both


def look_after(server: Any, ended: threading.Event, pause: float = LOOK_SECONDS) -> None:
    """Start what is behind a proxy again whenever it is away, until ``ended``."""
    away = 0
    while not ended.wait(pause):
        client = server.create_client()
        try:
            client.ping("")
        except DagsterUserCodeUnreachableError as error:
            away = away + 1 if is_behind_the_proxy(error) else 0
        else:
            away = 0
        if away < TIMES:
            continue
        log.warning("the code server has ended; the proxy before it starts another one")
        # The proxy fails also when all it could not do is to stop the one that ended; the next look tells.
        with contextlib.suppress(DagsterUserCodeUnreachableError):
            client.reload_code(timeout=RELOAD_SECONDS)
        away = 0


def is_behind_the_proxy(error: DagsterUserCodeUnreachableError) -> bool:
    """Return whether the proxy answered that it does not reach the process behind it."""
    refusal = error.__cause__
    if not isinstance(refusal, grpc.RpcError):
        return False
    answer: Any = refusal
    return answer.code() == grpc.StatusCode.UNKNOWN and "UNAVAILABLE" in (answer.details() or "")


if __name__ == "__main__":
    revive_code_servers()
    main()

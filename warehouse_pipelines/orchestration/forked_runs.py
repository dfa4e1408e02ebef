"""Runs of the code server start as forks of a process that has imported everything, not as a fresh interpreter each.

Dagster's code server starts a process per run through ``multiprocessing``, by the method ``spawn``: an interpreter that
imports Dagster, the definitions and dlt, for six seconds of a processor. ``fork_runs`` gives it the method
``forkserver``, which is multiprocessing's own for this. The server of forks is started with the first run. It keeps no
connections, and no thread but that of pyarrow's allocator, jemalloc, which knows forks; it ends with the last process
that may ask it for a run. Everything else is as before: a process per run, how it is cancelled, who notices its death.

Dagster has no setting for the method, so this replaces an attribute of its class. If a version of Dagster names it
differently, runs start by ``spawn`` as before. A change of the code on disk counts when the code server is started
again, as it does for the definitions.

The thread of a code server that looks for runs whose process has ended goes on when one look fails
(``go_on_looking``). Dagster's ends for good when its storage is away for eleven seconds: no dead run was noticed from
then on, each run left two files open until none could start, and the server did not end when it was told to.

A code server sleeps while nothing happens (``sleep_longer``): its main thread woke up ten times a second, a quarter of
what an idle code server used. A signal ends its sleep.
"""

import functools
import logging
import multiprocessing
import sys
from collections.abc import Callable
from typing import Any

log = logging.getLogger("warehouse")

WAIT_SECONDS = 5.0
"""How long the main thread of a code server sleeps in one go."""

SAFE = (3, 11, 1)
"""Python before it lets every user of the machine ask a server of forks for a process (CVE-2022-42919)."""


def sleep_longer() -> None:
    """Let the code server that loads the definitions now wake up less often; elsewhere, do nothing."""
    if "dagster._grpc.server" not in sys.modules:
        return
    from grpc import _common

    _common.MAXIMUM_WAIT_TIMEOUT = WAIT_SECONDS


def fork_runs() -> None:
    """Let the code server that loads the definitions now fork its runs; elsewhere, do nothing."""
    server = sys.modules.get("dagster._grpc.server")
    if server is None or sys.version_info < SAFE or "forkserver" not in multiprocessing.get_all_start_methods():
        return
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([f"{__package__}.forkserver_{name}" for name in ("preload", "warm")])
    server_class: Any = server.DagsterApiServer
    # A property of the class goes before the attribute that each server sets on itself.
    server_class._mp_ctx = property(lambda server: context, lambda server, value: None)


def go_on_looking() -> None:
    """Let the code server that loads the definitions now survive a look that fails; elsewhere, do nothing."""
    server: Any = sys.modules.get("dagster._grpc.server")
    if server is None or hasattr(server.DagsterApiServer._check_for_orphaned_runs, "__wrapped__"):
        return
    server.DagsterApiServer._check_for_orphaned_runs = _surviving(server.DagsterApiServer._check_for_orphaned_runs)


def _surviving(look: Callable[[Any], None]) -> Callable[[Any], None]:
    @functools.wraps(look)
    def look_again(server: Any) -> None:
        try:
            look(server)
        except Exception as error:  # the next look, half a second later, has the same runs
            log.warning("the code server could not look for ended runs: %s", type(error).__name__)

    return look_again

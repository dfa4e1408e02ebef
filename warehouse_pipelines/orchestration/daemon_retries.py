"""A run that lost its worker is tried again also if the daemon looks while the failure is being stored.

Dagster stores the event of a failure, then the status of the run, then the tag ``dagster/will_retry``, in three
transactions. The thread that starts runs again finds the event, reads the run once and moves on. Between the first two
it reads a run that has not failed, and never tries it again; between the last two it does not know why the run failed,
and tries one again whose failure was that of an asset. Here it waits until all three are there.

None of it is a setting of Dagster's, so a name of its module is replaced. Seen in Dagster 1.13.
"""

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import dagster as dg
from dagster._core.storage.tags import WILL_RETRY_TAG

from warehouse_pipelines.orchestration.daemon_pace import DAEMON

LOOK_SECONDS = 0.1
LONGEST_SECONDS = 10.0
"""After which the run is taken as it is. Its process ended between two transactions; the monitoring fails it then."""

Find = Callable[[Sequence[dg.DagsterRun], dg.DagsterInstance], Iterator[dg.DagsterRun]]


def wait_for_failures() -> None:
    """Let the daemon wait for what it must know of a run, if this process is one."""
    if DAEMON not in sys.modules:
        return
    from dagster._daemon.auto_run_reexecution import auto_run_reexecution

    module: Any = auto_run_reexecution
    if not hasattr(module, "_find_failed"):
        module._find_failed = module.filter_runs_to_should_retry
        module.filter_runs_to_should_retry = _waiting(module._find_failed)


def _waiting(find: Find) -> Find:
    def runs_to_retry(runs: Sequence[dg.DagsterRun], instance: dg.DagsterInstance) -> Iterator[dg.DagsterRun]:
        for run in runs:
            yield from find([_stored(run, instance)], instance)

    return runs_to_retry


def _stored(run: dg.DagsterRun, instance: dg.DagsterInstance) -> dg.DagsterRun:
    """Return the run as it stands when its end is stored whole."""
    began = time.monotonic()
    while time.monotonic() - began < LONGEST_SECONDS:
        if run.is_finished and (run.status != dg.DagsterRunStatus.FAILURE or WILL_RETRY_TAG in run.tags):
            break
        time.sleep(LOOK_SECONDS)
        run = instance.get_run_by_id(run.run_id) or run
    return run

"""A run that lost its worker is tried again, whatever happens while the daemon looks for it.

Dagster's daemon reads the events of runs that failed, tries each run again once and moves its cursor on. It moves on as
well when that could not be done, and the run is never tried again:

- the event is stored before the status of the run, and who reads the run between the two finds one that has not failed;
- the storage goes away while a run is handled, and the others of the batch are not handled either;
- the code server is away, as after the restart of a machine; Dagster then notes that the run is not to be tried again.

So every ``LOOK_SECONDS`` the daemon looks for runs that failed, are to be tried again and were not, for
``GIVE_UP_SECONDS`` after their end. To hand Dagster a run that was tried again already does nothing.

None of it is a setting of Dagster's, so names of its modules are replaced. Seen in Dagster 1.13.
"""

import logging
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
from dagster._core.storage.tags import AUTO_RETRY_RUN_ID_TAG, WILL_RETRY_TAG

from warehouse_pipelines.orchestration.daemon_pace import DAEMON

log = logging.getLogger("warehouse")

LOOK_SECONDS = 15.0
GIVE_UP_SECONDS = 1800.0
"""A code server that is away for longer is down; Dagster then says in the run that it was not tried again."""


def retry_until_done() -> None:
    """Let the daemon try again what it could not at once, if this process is one."""
    if DAEMON not in sys.modules:
        return
    from dagster._daemon.auto_run_reexecution import auto_run_reexecution, event_log_consumer

    module: Any = auto_run_reexecution
    daemon: Any = event_log_consumer.EventLogConsumerDaemon
    if hasattr(module, "_retry_once"):
        return
    module._retry_once = module.retry_run
    module.retry_run = _patiently(module._retry_once)
    daemon.run_iteration = _looking_again(daemon.run_iteration)


def left_over(instance: dg.DagsterInstance) -> list[dg.RunRecord]:
    """Return the runs that failed lately, are to be tried again, and were not."""
    since = datetime.now(UTC) - timedelta(seconds=GIVE_UP_SECONDS)
    failed = dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE], tags={WILL_RETRY_TAG: "true"}, updated_after=since)
    return [one for one in instance.get_run_records(failed) if not _was_retried(instance, one.dagster_run)]


def _was_retried(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    """A run that was made for it and not submitted counts for nothing."""
    if AUTO_RETRY_RUN_ID_TAG not in run.tags:
        return False
    again = instance.get_run_by_id(run.tags[AUTO_RETRY_RUN_ID_TAG])
    return again is None or again.status != dg.DagsterRunStatus.NOT_STARTED


def _looking_again(iterate: Callable[..., Iterator[Any]]) -> Callable[..., Iterator[Any]]:
    looked = 0.0

    def run_iteration(daemon: Any, context: Any) -> Iterator[Any]:
        from dagster._daemon.auto_run_reexecution import auto_run_reexecution

        nonlocal looked
        yield from iterate(daemon, context)
        if time.monotonic() - looked < LOOK_SECONDS:
            return
        looked = time.monotonic()
        yield from auto_run_reexecution.consume_new_runs_for_automatic_reexecution(
            context, left_over(context.instance), daemon._logger
        )

    return run_iteration


def _patiently(retry_once: Callable[..., None]) -> Callable[..., None]:
    def retry_run(failed_run: dg.DagsterRun, workspace_context: Any) -> None:
        """Do as Dagster's. What it raises is left to the next look, or raised when there will be none."""
        try:
            retry_once(failed_run, workspace_context)
        except Exception as error:
            record = workspace_context.instance.get_run_record_by_id(failed_run.run_id)
            if record is None or time.time() - (record.end_time or 0.0) > GIVE_UP_SECONDS - 2 * LOOK_SECONDS:
                raise
            log.warning(
                "%s (run %s) could not be tried again (%s); it will be in %.0f s",
                failed_run.job_name, failed_run.run_id, type(error).__name__, LOOK_SECONDS,
            )  # fmt: skip

    return retry_run

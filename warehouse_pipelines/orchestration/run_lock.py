"""Which Dagster runs are alive, and what the dead ones leave: a slot of their vendor's pool, and a run that is STARTED.

A process that executes a run holds a lock in the warehouse, named after the run, and tags the run with it (``held``).
PostgreSQL frees the lock as soon as the process has ended, on whatever machine it was, so a run with the tag whose lock
is free is dead. ``close_dead_runs`` marks such runs in Dagster, closes their history rows and frees their slots; every
command does so before it starts its own run and while it waits, the sensor ``close_stale_runs`` every minute.

Decided:

- The value of the tag is the run's own id and that of the warehouse. A run that is tried again copies the tags of the
  first one, and must not be taken for dead before it holds its own lock; the lock of a run that fills another
  warehouse cannot be seen from here.
- A living process may lose its session, and opens another within ``PING_SECONDS``. Therefore a free lock is believed
  when it is free in two looks, twice that time apart: who meets a suspect waits for the second look itself, so that
  one command after a kill is enough. After a restart of the server the process may take longer, and nobody is called
  dead in its first ``SETTLING_SECONDS``, unless the run is younger than the server.
- A run without the tag (an older version's, or one that could not reach the warehouse) is dead when its last history
  row was closed because its process had died, or when nothing was heard of it for ``BEGIN_SECONDS`` after its start:
  its process died before it had the lock. So it is when it was created so long ago and never submitted: whoever created
  it, the webserver or the daemon, died between the two. Otherwise it is left alone.

``executor`` is Dagster's in-process executor, doing this for the runs of the daemon and the UI, and ``side_by_side``
where a run has several parts. The command line holds
the lock itself (``commands.runner``), where a run also gives up waiting and is cancelled by an interrupt.
"""

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import TYPE_CHECKING, Any

import dagster as dg
from dagster._core.errors import DagsterExecutionInterruptedError
from dagster._core.executor.in_process import InProcessExecutor
from dagster_shared.record import copy

from warehouse_pipelines import warehouse
from warehouse_pipelines.errors import PoolBusy, WarehouseError
from warehouse_pipelines.orchestration.dagster_storage import keep_connections

if TYPE_CHECKING:
    from dagster._core.execution.context.system import PlanOrchestrationContext
    from dagster._core.execution.plan.plan import ExecutionPlan

    from warehouse_pipelines.model.source import Source
    from warehouse_pipelines.warehouse import Session

log = logging.getLogger("warehouse")

TAG = ".dagster/warehouse_lock"
"""Dagster shows no tag in its UI that begins so, and this one tells a person nothing."""

PING_SECONDS = 5.0
"""How often a run looks whether its session still stands."""

SETTLING_SECONDS = 30.0

BEGIN_SECONDS = 600.0
"""After its start a run stores the next event within a second, whichever executor it has. One that was created is
submitted at once."""

LOOK_SECONDS = 5.0
"""How often a run that waits for a slot looks for dead runs that hold one."""

SAY_SECONDS = 30.0
"""How often it says what it waits for."""

PAUSE_SECONDS = 0.2
"""Between two questions for a slot. Dagster's own loop does not pause at all."""

LAUNCHED = [
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]
"""Runs that have a process or had one; a queued run has none yet."""

NEVER_SUBMITTED = "it was created and never submitted, so nothing was read; whatever created it died"

TOO_LATE = "it was created long after it was asked for, when it may have been asked for again, so nothing is synced"

_held: set[str] = set()
"""The runs whose lock is held by this process."""


class RunLock:
    """The lock of a run, held by this process until the end of the block; opened again when its session breaks."""

    def __init__(self, url: str, run_id: str) -> None:
        self._url = url
        self._run_id = run_id
        self._stopped = threading.Event()
        self._connection: Session | None = None

    def __enter__(self) -> Mapping[str, str]:
        return self.hold()

    def hold(self) -> dict[str, str]:
        """Take the lock and return the tag that says so. Raises ``DatabaseUnavailable``."""
        connection = self._take()
        _held.add(self._run_id)
        self._keeper = threading.Thread(target=self._keep, name=f"lock-{self._run_id}", daemon=True)
        self._keeper.start()
        return {TAG: tag(connection, self._run_id)}

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        _held.discard(self._run_id)
        self._stopped.set()
        self._keeper.join(timeout=1)
        if self._connection is not None:
            warehouse.end(self._connection)

    def _take(self) -> "Session":
        connection = warehouse.connect(self._url)
        connection.execute("SELECT pg_advisory_lock(hashtextextended('run:' || %s, 0))", [self._run_id])
        self._connection = connection
        return connection

    def _keep(self) -> None:
        import psycopg

        while not self._stopped.wait(PING_SECONDS):
            try:
                if self._connection is not None:
                    self._connection.execute("SELECT")
                    continue
            except psycopg.Error:
                self._drop()
            try:
                self._take()
            except (psycopg.Error, WarehouseError):
                self._drop()

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection = None


def tag(session: "Session", run_id: str) -> str:
    """Return the value of the tag of a run that holds its lock in this warehouse."""
    named: str = warehouse.value(
        session,
        """
        SELECT format('%%s in %%s/%%s', %s::text, (SELECT system_identifier FROM pg_control_system()), oid)
        FROM pg_database WHERE datname = current_database()
        """,
        [run_id],
    )
    return named


def dead(session: "Session", run: dg.DagsterRun, created_at: datetime) -> bool:
    """Return whether the process of a run has ended, as far as one look can tell."""
    from warehouse_pipelines.loading import sync_history

    if TAG not in run.tags:
        asked = "SELECT error_message = %s FROM orchestration.sync_history WHERE run_id = %s ORDER BY id DESC LIMIT 1"
        return bool(warehouse.value(session, asked, [sync_history.DIED, run.run_id]))
    if run.tags[TAG] != tag(session, run.run_id):
        return False
    [lock] = session.execute(
        """
        SELECT pg_try_advisory_lock_shared(hashtextextended('run:' || %s, 0)) AS free,
               pg_postmaster_start_time() < greatest(%s, clock_timestamp() - make_interval(secs => %s)) AS settled
        """,
        [run.run_id, created_at, SETTLING_SECONDS],
    )
    if not lock["free"]:
        return False
    session.execute("SELECT pg_advisory_unlock_shared(hashtextextended('run:' || %s, 0))", [run.run_id])
    return bool(lock["settled"])


def close_dead_runs(instance: dg.DagsterInstance, url: str) -> list[str]:
    """End the dead runs in Dagster and in the history, and free the slots of ended runs; return the ids of the dead.

    Takes twice ``PING_SECONDS`` when a lock is free that should be held, and else no time.
    """
    from warehouse_pipelines.loading import sync_history

    found = instance.get_run_records(dg.RunsFilter(statuses=LAUNCHED))
    claims = instance.event_log_storage.get_concurrency_run_ids()
    if not found and not claims:
        return []
    sync_history.close_stale_runs(url)
    with warehouse.session(url) as session:
        holders = []
        for run_id in claims:
            holder = instance.get_run_record_by_id(run_id)
            if holder is None:
                instance.event_log_storage.free_concurrency_slots_for_run(run_id)
            elif holder.dagster_run.is_finished:
                holders.append(holder)
        unended, ended = _dead(session, found), _without_process(session, holders)
        lost = [record for record in found if record not in unended and _never_began(instance, session, record)]
        if suspects := [record.dagster_run for record in (*unended, *ended) if TAG in record.dagster_run.tags]:
            names = ", ".join(f"{run.job_name} (run {run.run_id})" for run in suspects)
            log.warning("the lock of %s is free; looking again in %.0f s", names, 2 * PING_SECONDS)
            time.sleep(2 * PING_SECONDS)
            unended, ended = _dead(session, unended), _without_process(session, ended)
        for record in ended:
            instance.event_log_storage.free_concurrency_slots_for_run(record.dagster_run.run_id)
        closed = [record.dagster_run for record in (*unended, *lost)]
        return [run.run_id for run in closed if _close(instance, run, url)]


def _dead(session: "Session", records: Iterable[dg.RunRecord]) -> list[dg.RunRecord]:
    return [one for one in records if dead(session, one.dagster_run, one.create_timestamp.astimezone(UTC))]


def _never_began(instance: dg.DagsterInstance, session: "Session", record: dg.RunRecord) -> bool:
    """Return whether a run that has no lock of its own was created or started long ago, and nothing came of it."""
    run = record.dagster_run
    if run.status == dg.DagsterRunStatus.NOT_STARTED and run.tags.get(TAG) != tag(session, run.run_id):
        return datetime.now(UTC) - record.create_timestamp.astimezone(UTC) > timedelta(seconds=BEGIN_SECONDS)
    late = record.start_time is not None and time.time() - record.start_time > BEGIN_SECONDS
    if not late or run.status != dg.DagsterRunStatus.STARTED or run.tags.get(TAG) == tag(session, run.run_id):
        return False
    last = instance.get_records_for_run(run.run_id, limit=1, ascending=False).records
    return bool(last) and last[0].event_log_entry.dagster_event_type == dg.DagsterEventType.RUN_START


def _without_process(session: "Session", ended: Iterable[dg.RunRecord]) -> list[dg.RunRecord]:
    """Return the runs that ended and have no process any more; Dagster's daemon waits a minute for that."""
    found = []
    for record in ended:
        run = record.dagster_run
        if run.tags.get(TAG) == tag(session, run.run_id):
            found += _dead(session, [record])
        elif time.time() - (record.end_time or 0.0) > 60:
            found.append(record)
    return found


def _close(instance: dg.DagsterInstance, run: dg.DagsterRun, url: str) -> bool:
    from warehouse_pipelines.loading import sync_history

    now = instance.get_run_by_id(run.run_id)
    if now is None or now.is_finished:  # it ended by itself since it was listed, or another command was faster
        return False
    created_only = now.status == dg.DagsterRunStatus.NOT_STARTED and TAG not in now.tags
    message = NEVER_SUBMITTED if created_only else sync_history.DIED
    if now.status == dg.DagsterRunStatus.CANCELING:
        instance.report_run_canceled(run, message)
        sync_history.close_run(url, run.run_id, message, sync_history.CANCELLED)
    else:
        instance.report_run_failed(run, message)
        sync_history.close_run(url, run.run_id, message)
    instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)
    log.warning("%s (run %s): %s. Now it is closed, and its slots are free", run.job_name, run.run_id, message)
    return True


class Waiting:
    """Stands between a run and the slots of its pool: frees those of dead runs, says what is waited for, gives up."""

    def __init__(self, instance: dg.DagsterInstance, url: str, longest: float | None) -> None:
        self._instance, self._url, self._longest = instance, url, longest
        self._claim = instance.event_log_storage.claim_concurrency_slot
        self._began: dict[str, float] = {}
        self._looked = self._said = float("-inf")
        self.gave_up: PoolBusy | None = None

    def claim(self, concurrency_key: str, run_id: str, step_key: str, priority: int | None = None) -> Any:
        """Do as ``claim_concurrency_slot`` of the event log. Raises ``PoolBusy`` after the longest wait."""
        import psycopg

        now = time.monotonic()
        status = self._claim(concurrency_key, run_id, step_key, priority)
        if not status.is_claimed and now - self._looked >= LOOK_SECONDS:
            self._looked = now
            try:
                close_dead_runs(self._instance, self._url)
            except (psycopg.Error, WarehouseError) as error:
                log.warning("whether dead runs hold slots of %s cannot be asked: %s", concurrency_key, error)
            status = self._claim(concurrency_key, run_id, step_key, priority)
        if status.is_claimed:
            self._began.pop(step_key, None)
            return status
        waited = now - self._began.setdefault(step_key, now)
        if self._longest is not None and waited >= self._longest:
            self.gave_up = PoolBusy(
                f"{step_key} waited {waited:.0f} s for {self._holders(concurrency_key)}. Run it again later, or end "
                "one of them in Dagster's UI; WAREHOUSE_POOL_WAIT_SECONDS sets how long a command waits."
            )
            raise self.gave_up
        if now - self._said >= SAY_SECONDS:
            self._said = now
            until = "" if self._longest is None else f", at most {self._longest:.0f} s"
            log.warning("%s waits since %.0f s%s for %s", step_key, waited, until, self._holders(concurrency_key))
        # Dagster asks nowhere in its loop for a slot whether somebody wants the run to stop; this raises then.
        with dg.raise_execution_interrupts():
            time.sleep(PAUSE_SECONDS)
        return status.with_sleep_interval(0.0)

    def _holders(self, pool: str) -> str:
        """Return which runs hold the slots of a pool, and since when."""
        info = self._instance.event_log_storage.get_concurrency_info(pool)
        held = []
        for run_id in sorted(info.active_run_ids | info.assigned_run_ids):
            record = self._instance.get_run_record_by_id(run_id)
            if record is not None:
                minutes = (datetime.now(UTC) - record.create_timestamp.astimezone(UTC)).total_seconds() / 60
                held.append(f"{record.dagster_run.job_name} (run {run_id}, {minutes:.0f} min)")
        slots = "the slot" if info.slot_count == 1 else f"one of the {info.slot_count} slots"
        return f"{slots} of {pool}, held by {', '.join(held) or 'nobody that is known'}"


@contextlib.contextmanager
def waiting(instance: dg.DagsterInstance, url: str, longest: float | None = None) -> Iterator[Waiting]:
    """Let the runs of this process wait as ``Waiting`` does."""
    storage: Any = instance.event_log_storage
    own = Waiting(instance, url, longest)
    storage.claim_concurrency_slot = own.claim
    try:
        yield own
    finally:
        del storage.claim_concurrency_slot


class _Executor(InProcessExecutor):
    def __init__(self, url: Callable[[], str], sources: "Sequence[Source]", retries: Any) -> None:
        super().__init__(retries)
        self._url, self._sources = url, sources

    def execute(
        self, plan_context: "PlanOrchestrationContext", execution_plan: "ExecutionPlan"
    ) -> Iterator[dg.DagsterEvent]:
        run, instance = plan_context.dagster_run, plan_context.instance
        if _is_late(instance, run):
            instance.report_run_canceling(run, TOO_LATE)
            raise DagsterExecutionInterruptedError
        if run.run_id in _held:
            yield from _of_a_command(instance, run, super().execute(plan_context, execution_plan))
            return
        from warehouse_pipelines.orchestration.side_by_side import parts_of, side_by_side

        keep_connections(instance)
        with contextlib.ExitStack() as stack:
            parts: Sequence[Sequence[str]] = []
            url = ""
            try:
                url = self._url()
                # Held until the process ends: Dagster says that the run has ended only after this generator.
                instance.add_run_tags(run.run_id, RunLock(url, run.run_id).hold())
                stack.enter_context(waiting(instance, url))
                parts = parts_of(run, execution_plan.step_keys_to_execute, self._sources, url)
            except Exception as error:  # the steps will say it better
                log.warning("run %s holds no lock, or is not divided: %s", run.run_id, type(error).__name__)
            if len(parts) > 1:
                yield from side_by_side(plan_context, execution_plan, parts, lambda own: waiting(own, url))
            else:
                yield from super().execute(plan_context, execution_plan)


def _is_late(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    from warehouse_pipelines.serving.dagster import LAUNCH_BY, is_late

    if LAUNCH_BY not in run.tags:
        return False
    record = instance.get_run_record_by_id(run.run_id)
    return record is not None and is_late(run.tags, record.create_timestamp.astimezone(UTC), run.parent_run_id)


def _of_a_command(
    instance: dg.DagsterInstance, run: dg.DagsterRun, events: Iterator[dg.DagsterEvent]
) -> Iterator[dg.DagsterEvent]:
    """Let an interrupt cancel the run: Dagster counts one as a failure that nobody has asked for."""
    try:
        yield from events
    except (KeyboardInterrupt, DagsterExecutionInterruptedError):
        instance.report_run_canceling(run)
        raise


def executed(jobs: Iterable[Any], by: dg.ExecutorDefinition) -> list[Any]:
    """Return the jobs with an executor of their own, which they keep in a code location that has another one."""
    return [
        job.with_executor_def(by) if isinstance(job, dg.JobDefinition) else copy(job, executor_def=by) for job in jobs
    ]


def executor(url: Callable[[], str], sources: "Sequence[Source]" = ()) -> dg.ExecutorDefinition:
    """Return the executor of every job: all steps in the process of the run, which holds the lock of the run.

    A run of the daemon or the UI that syncs many entities of one of the ``sources`` does so in several processes.
    """

    def in_process(context: dg.InitExecutorContext) -> _Executor:
        from dagster._core.execution.retries import RetryMode

        config: Any = context.executor_config
        return _Executor(url, sources, RetryMode.from_config(config["retries"]))

    schema: Any = dg.in_process_executor.config_schema
    return dg.ExecutorDefinition("in_process", config_schema=schema, executor_creation_fn=in_process)

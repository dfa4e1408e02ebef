"""Runs the jobs that the UI launches, without a daemon, and reads back from the history what they did.

The command line and the demo use it. A run is stored by the instance of ``DAGSTER_HOME`` and so appears in the UI
beside the others. What is printed comes from ``orchestration.sync_history`` and from nowhere else. One job runs in
this process; of several, ``AT_A_TIME`` run side by side in processes of their own, because they wait for different
vendors.

Importing Dagster takes a second, therefore everything heavy is imported by the first run and not by this module.
"""

import contextlib
import gc
import importlib
import logging
import multiprocessing
import os
import signal
import threading
import uuid
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

from warehouse_pipelines import settings
from warehouse_pipelines.errors import ActionNeeded
from warehouse_pipelines.observability import logs

if TYPE_CHECKING:
    from multiprocessing.queues import SimpleQueue
    from multiprocessing.synchronize import Event

    import dagster as dg
    from dagster._core.remote_origin import RemoteJobOrigin
    from rich.console import Console
    from rich.table import Table

    from warehouse_pipelines.loading.options import Result
    from warehouse_pipelines.model.entity import Entity
    from warehouse_pipelines.model.source import Source

ENDINGS: Mapping[str, int] = {"success": 0, "partial": 3, "failed": 1, "cancelled": 130}
"""The exit code of each ending; ``worst`` says which of several counts."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What one run did to one entity. ``reason`` says why it is not a success."""

    crm: str
    sync_type: str
    status: str
    history_id: int | None = None
    processed: int = 0
    created: int = 0
    updated: int = 0
    unchanged: int = 0
    failed: int = 0
    filtered: int = 0
    deleted: int = 0
    seconds: float = 0.0
    calls: int = 0
    dry_run: bool = False
    reason: str | None = None

    @property
    def records_per_second(self) -> float:
        """Processed records per second of the whole run."""
        return self.processed / self.seconds if self.seconds else 0.0


COUNTS = ("processed", "created", "updated", "unchanged", "failed", "filtered", "deleted")


def worst(outcomes: Iterable[Outcome]) -> int:
    """Return the exit code of several: that of a cancel, then of the worst; nothing at all is failed."""
    codes = {ENDINGS.get(outcome.status, 1) for outcome in outcomes}
    return next((code for code in (130, 1, 3, 0) if code in codes), 1)


HISTORY = """
SELECT DISTINCT ON (crm_source, sync_type) *, extract(epoch FROM end_time - start_time)::float8 AS took
FROM orchestration.sync_history WHERE run_id = %s ORDER BY crm_source, sync_type, id DESC
"""


def require_database(url: str) -> None:
    """Raise before anything is started when the warehouse does not answer or has no history to write."""
    from warehouse_pipelines.loading.sync_history import connect

    with connect(url) as connection:
        row = connection.execute("SELECT to_regclass('orchestration.sync_history') IS NOT NULL AS there").fetchone()
    if not (row and row["there"]):
        raise ActionNeeded("The database is not migrated; run `warehouse migrate`.")


def outcomes_of(run_id: str, url: str) -> list[Outcome]:
    """Return what the history says of a Dagster run; of an entity that was tried again, its last attempt."""
    import psycopg
    from psycopg.rows import dict_row

    with psycopg.connect(url, row_factory=dict_row) as connection:
        rows = sorted(connection.execute(HISTORY, (run_id,)).fetchall(), key=lambda row: int(row["id"]))
    return [_outcome(row) for row in rows]


def _outcome(row: Mapping[str, Any]) -> Outcome:
    metrics, status = row["performance_metrics"], row["status"]
    return Outcome(
        crm=row["crm_source"],
        sync_type=row["sync_type"],
        status="failed" if status == "running" else status,
        history_id=row["id"],
        processed=row["records_processed"],
        created=row["records_created"],
        updated=row["records_updated"],
        unchanged=metrics.get("unchanged", 0),
        failed=row["records_failed"],
        filtered=metrics.get("filtered", 0),
        deleted=metrics.get("deleted", 0),
        seconds=row["took"] or 0.0,
        calls=metrics.get("total_api_calls", 0),
        dry_run=bool(row["configuration"].get("dry_run")),
        reason="the run ended without closing its row" if status == "running" else _reason(row),
    )


def outcome_of(crm: str, sync_type: str, result: "Result") -> Outcome:
    """Return the outcome of a sync that did not run in Dagster (a replay)."""
    counts = {name: getattr(result, name) for name in COUNTS}
    return Outcome(
        crm=crm,
        sync_type=sync_type,
        status=result.status,
        history_id=result.history_id,
        seconds=result.seconds,
        calls=result.calls,
        reason=result.reason or (f"{result.failed} records are in the dead letters" if result.failed else None),
        **counts,
    )


def _reason(row: Mapping[str, Any]) -> str | None:
    reason = row["error_message"] or row["performance_metrics"].get("partial_reason")
    return None if reason is None else str(reason)


class Runner:
    """Runs jobs one after another. Dagster's own lines are printed with ``debug`` only."""

    def __init__(self, *, url: str, debug: bool = False) -> None:
        self.url = url
        self._debug = debug
        if not debug:
            warnings.simplefilter("ignore")  # Dagster's previews and betas; they are pinned
        require_database(url)
        gc.disable()  # nothing of what is imported is ever freed; looking for it costs a tenth of the time to start
        import dagster as dg

        from warehouse_pipelines.local import dagster_home
        from warehouse_pipelines.orchestration import run_lock

        dagster_home.prepare()
        self.instance = dg.DagsterInstance.get()
        from warehouse_pipelines.orchestration.dagster_storage import keep_connections

        keep_connections(self.instance)
        from warehouse_pipelines.definitions import defs

        self._defs = defs
        run_lock.close_dead_runs(self.instance, url)
        importlib.import_module("warehouse_pipelines.loading.sync")
        gc.freeze()
        gc.enable()

    def close(self) -> None:
        """Let go of the instance's connections."""
        self.instance.dispose()

    def run(
        self,
        crm: str,
        entity: str,
        *,
        config: Mapping[str, Any] | None = None,
        days: tuple[date, date] | None = None,
    ) -> list[Outcome]:
        """Run ``sync_<crm>_<entity>`` and return what it did, of every entity in the job.

        ``config`` is that of the resource ``sync``; with ``days``, the first and the last, the job is that of the
        backfill. An entity that
        failed before it had a row in the history is returned with Dagster's message as its reason.
        """
        from dagster._core.definitions.job_base import InMemoryJob
        from dagster._core.execution.api import execute_run_iterator
        from dagster._utils.interrupts import capture_interrupts

        from warehouse_pipelines.orchestration import run_lock

        job = self._defs.resolve_job_def(f"{'backfill' if days else 'sync'}_{crm}_{entity}")
        run_id = str(uuid.uuid4())
        longest = settings.settings().warehouse_pool_wait_seconds
        with (
            capture_interrupts(),
            run_lock.RunLock(self.url, run_id) as tag,
            run_lock.waiting(self.instance, self.url, longest) as waited,
        ):
            run = self.instance.create_run_for_job(
                job,
                run_id=run_id,
                run_config={
                    "resources": {"sync": {"config": {**(config or {}), **_range(days)}}},
                    "loggers": {"console": {"config": {"log_level": "DEBUG" if self._debug else "CRITICAL"}}},
                },
                tags={**job.run_tags, **tag, **NO_RUN_RETRIES},
                remote_job_origin=origin(job.name),
            )
            events = [*execute_run_iterator(InMemoryJob(job), run, self.instance)]
        outcomes = outcomes_of(run_id, self.url)
        if waited.gave_up is not None:
            return [*outcomes, *_refused(crm, entity, run_id, waited.gave_up, outcomes, self.url)]
        return [*outcomes, *_without_row(crm, entity, events, outcomes)]


NO_RUN_RETRIES = {"dagster/max_retries": "0"}
"""Whoever started a command that was killed decides whether it is started again."""

LOCATION, REPOSITORY = "warehouse", "__repository__"
"""What workspace.yaml calls the code, and Dagster what is defined in it."""


def origin(job: str) -> "RemoteJobOrigin":
    """Return where the UI has the job: a run without it is shown under Runs alone, neither at its job nor in time."""
    from dagster._core.remote_origin import (
        ManagedGrpcPythonEnvCodeLocationOrigin,
        RemoteJobOrigin,
        RemoteRepositoryOrigin,
    )
    from dagster._core.types.loadable_target_origin import LoadableTargetOrigin

    target = LoadableTargetOrigin(module_name="warehouse_pipelines.definitions")
    location = ManagedGrpcPythonEnvCodeLocationOrigin(target, LOCATION)
    return RemoteJobOrigin(RemoteRepositoryOrigin(location, REPOSITORY), job)


AT_A_TIME = 4
"""Jobs side by side. Each process takes a second and a half to start, and while it loads about 300 MB."""

Job = tuple[str, str]
"""A CRM, and an entity of it or ``all``."""

_runners: list[Runner] = []
_stops: list["Event"] = []
"""Those of this process, where it is one of several."""


def run_jobs(
    jobs: Sequence[Job],
    *,
    url: str,
    config: Mapping[str, Any] | None = None,
    days: tuple[date, date] | None = None,
    form: logs.Format = "text",
    level: int = logging.WARNING,
) -> list[Outcome]:
    """Run jobs, side by side if there are several, and return what they did, in the order of ``jobs``.

    ``form`` and ``level`` are those of the log. A process that died is the failure of its job. SIGINT and SIGTERM
    cancel what runs and what did not begin yet; the outcomes say which.
    """
    if len(jobs) == 1:
        runner = Runner(url=url, debug=level <= logging.DEBUG)
        try:
            return runner.run(*jobs[0], config=config, days=days)
        finally:
            runner.close()
    require_database(url)
    spawned = multiprocessing.get_context("spawn")
    steps = spawned.SimpleQueue()
    teller = threading.Thread(target=_tell, args=(steps,), daemon=True)
    teller.start()
    outcomes: list[Outcome] = []
    stopped = spawned.Event()
    given = (url, form, level, steps, stopped)
    with (
        _interrupts_set(stopped),
        ProcessPoolExecutor(min(len(jobs), AT_A_TIME), spawned, _begin, given) as processes,
    ):
        running = [processes.submit(_run_job, job, config, days) for job in jobs]
        for (crm, entity), done in zip(jobs, running, strict=True):
            try:
                outcomes += done.result()
            except BrokenProcessPool:
                reason = "its process died; look for a kill by the system (memory), then run again"
                outcomes.append(Outcome(crm=crm, sync_type=entity, status="failed", reason=reason))
    steps.put(None)
    teller.join()
    return outcomes


@contextlib.contextmanager
def _interrupts_set(stopped: "Event") -> Iterator[None]:
    """Set the event at SIGINT and SIGTERM; a second one interrupts as usual."""

    def interrupted(*_: object) -> None:
        if stopped.is_set():
            raise KeyboardInterrupt
        stopped.set()

    before = {number: signal.signal(number, interrupted) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _begin(url: str, form: logs.Format, level: int, steps: "SimpleQueue[Any]", stopped: "Event") -> None:
    """Prepare a process for its jobs; it is interrupted by the event, and not by the terminal beside that."""
    os.setpgrp()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # but while Dagster runs a job
    threading.Thread(target=_interrupt, args=(stopped, os.getppid()), daemon=True).start()
    _stops.append(stopped)
    logs.configure(form, level)
    logs.hide_password(url)
    logs.watchers.append(lambda *step: steps.put(("moved", step)))
    logs.end_listeners.append(lambda *end: steps.put(("ended", end)))
    if not stopped.is_set():
        _runners.append(Runner(url=url, debug=level <= logging.DEBUG))


def _interrupt(stopped: "Event", parent: int) -> None:
    """Interrupt this process when the event is set, or when the one that started it is gone."""
    while not stopped.wait(1.0) and os.getppid() == parent:
        pass
    os.kill(os.getpid(), signal.SIGINT)


def _run_job(job: Job, config: Mapping[str, Any] | None, days: tuple[date, date] | None) -> list[Outcome]:
    if _stops[0].is_set():
        crm, entity = job
        return [_not_run(crm, declared) for _, declared in _missing(crm, entity, ())]
    return _runners[0].run(*job, config=config, days=days)


def _not_run(crm: str, entity: "Entity") -> Outcome:
    return Outcome(crm=crm, sync_type=entity.name, status="cancelled", reason="not run: cancelled")


def _tell(steps: "SimpleQueue[Any]") -> None:
    """Pass what the other processes say of their syncs on to the listeners of this one."""
    while (said := steps.get()) is not None:
        what, words = said
        for listener in logs.watchers if what == "moved" else logs.end_listeners:
            listener(*words)


def _range(days: tuple[date, date] | None) -> dict[str, str]:
    if days is None:
        return {}
    first, last = days
    return {"start_date": first.isoformat(), "end_date": last.isoformat()}


def _refused(
    crm: str, entity: str, run_id: str, error: Exception, outcomes: Sequence[Outcome], url: str
) -> list[Outcome]:
    """Write a row of each entity that had to give up waiting, and return these outcomes."""
    from warehouse_pipelines.loading import sync_history

    with sync_history.connect(url) as session:
        for source, declared in _missing(crm, entity, outcomes):
            sync_history.refuse(session, source, declared, error, start_time=sync_history.utc_now(), run_id=run_id)
    have = {outcome.sync_type for outcome in outcomes}
    return [outcome for outcome in outcomes_of(run_id, url) if outcome.sync_type not in have]


def _missing(crm: str, entity: str, outcomes: Sequence[Outcome]) -> Iterator[tuple["Source", "Entity"]]:
    """Yield the entities of the job that are not among the outcomes."""
    from warehouse_pipelines.sources import SOURCES

    have = {outcome.sync_type for outcome in outcomes}
    source = next(source for source in SOURCES if source.name == crm)
    for declared in source.entities:
        if declared.name not in have and entity in ("all", declared.name):
            yield source, declared


def _without_row(
    crm: str, entity: str, events: Sequence["dg.DagsterEvent"], outcomes: Sequence[Outcome]
) -> Iterator[Outcome]:
    """Yield the entities of the job that the history does not know: the run did not get as far."""
    from warehouse_pipelines.orchestration.assets import step_key

    failures = {event.step_key: _message(event) for event in events if event.is_step_failure}
    ended = next((event.message for event in events if event.is_failure and not event.is_step_event), None)
    cancelled = any(event.event_type_value == "PIPELINE_CANCELED" for event in events)
    for _, declared in _missing(crm, entity, outcomes):
        if cancelled:
            yield _not_run(crm, declared)
            continue
        reason = failures.get(step_key(declared))
        if reason is None:
            reason = "not run, because what it is read from failed" if outcomes else ended or "Dagster says no more"
        yield Outcome(crm=crm, sync_type=declared.name, status="failed", reason=reason)


def _message(event: "dg.DagsterEvent") -> str:
    failure = event.step_failure_data
    if failure.user_failure_data and failure.user_failure_data.description:
        return failure.user_failure_data.description
    error = failure.error
    while error is not None and error.cause is not None:
        error = error.cause
    return error.message.strip() if error is not None else "no message"


def table(outcomes: Sequence[Outcome], left_out: Sequence[str] = ()) -> "Table":
    """Return the outcomes as a table for a terminal, without the columns of ``left_out``."""
    from rich import box
    from rich.table import Table

    dry = any(outcome.dry_run for outcome in outcomes)
    shown = Table(title="dry run: nothing was written" if dry else None, title_justify="left", box=box.SIMPLE_HEAD)
    several = len({outcome.crm for outcome in outcomes}) > 1
    colours = {"success": "green", "partial": "yellow", "cancelled": "yellow", "failed": "red"}
    columns: dict[str, Callable[[Outcome], str]] = {
        "entity": lambda o: f"{o.crm} {o.sync_type}" if several else o.sync_type,
        "status": lambda o: f"[{colours.get(o.status, 'red')}]{o.status}[/]",
        "created": lambda o: f"{o.created:,}",
        "updated": lambda o: f"{o.updated:,}",
        "unchanged": lambda o: f"{o.unchanged:,}",
        "failed": lambda o: f"{o.failed:,}",
        "filtered": lambda o: f"{o.filtered:,}",
        "deleted": lambda o: f"{o.deleted:,}",
        "seconds": lambda o: f"{o.seconds:.1f}",
        "records/s": lambda o: f"{o.records_per_second:,.0f}",
        "API calls": lambda o: f"{o.calls:,}",
    }
    wanted = {name: cell for name, cell in columns.items() if name not in left_out}
    for name in wanted:
        shown.add_column(name, justify="left" if name in {"entity", "status"} else "right", no_wrap=True)
    for outcome in outcomes:
        shown.add_row(*(cell(outcome) for cell in wanted.values()))
    return shown


def _fitting(outcomes: Sequence[Outcome], console: "Console") -> "Table":
    """Return the table; where the terminal is too narrow, without columns that hold nothing but zeros."""
    left_out: list[str] = []
    for name in ("filtered", "deleted", "failed", "unchanged", "updated", "created"):
        if _width(table(outcomes, left_out), console) <= console.width:
            break
        if not any(getattr(outcome, name) for outcome in outcomes):
            left_out.append(name)
    return table(outcomes, left_out)


def _width(shown: "Table", console: "Console") -> int:
    """Return how wide the table wants to be, whatever the terminal has."""
    return console.measure(shown, options=console.options.update(width=1000)).maximum


def report(outcomes: Sequence[Outcome], console: "Console") -> None:
    """Print the table, and below it a line for each entity that is not a success."""
    from rich.markup import escape

    shown = _fitting(outcomes, console)
    terminal = console.width
    console.width = max(terminal, _width(shown, console))  # a line that wraps can be read, a figure cut off cannot
    console.print(shown)
    console.width = terminal
    if line := cancelled(outcomes):
        console.print(line, soft_wrap=True)
    for outcome in outcomes:
        if outcome.status not in ("success", "cancelled") and outcome.reason:
            where = f" (sync_history {outcome.history_id})" if outcome.history_id else ""
            reason = escape(logs.redacted(outcome.reason))
            console.print(f"{outcome.crm} {outcome.sync_type} {outcome.status}: {reason}{where}", soft_wrap=True)


def cancelled(outcomes: Sequence[Outcome]) -> str | None:
    """Return the one line that says what a cancel left, or None without one."""
    stopped = [outcome for outcome in outcomes if outcome.status == "cancelled"]
    if not stopped:
        return None
    begun = [f"{outcome.crm} {outcome.sync_type}" for outcome in stopped if outcome.history_id]
    inside = f" It was in the middle of {', '.join(begun)}, of which nothing was loaded." if begun else ""
    others = len(stopped) - len(begun)
    left = f" {others} {'was' if others == 1 else 'were'} not begun." if others else ""
    return f"Cancelled. {len(outcomes) - len(stopped)} of {len(outcomes)} were done before.{inside}{left}"


def log(outcomes: Sequence[Outcome]) -> None:
    """Say the same in the log, for ``--log-format json``."""
    for outcome in outcomes:
        counts = {f"records_{name}": getattr(outcome, name) for name in COUNTS}
        said = {
            "crm_source": outcome.crm,
            "sync_type": outcome.sync_type,
            "status": outcome.status,
            "history_id": outcome.history_id,
            **counts,
            "seconds": round(outcome.seconds, 3),
            "records_per_second": round(outcome.records_per_second, 1),
            "api_calls": outcome.calls,
            "dry_run": outcome.dry_run,
            "reason": outcome.reason,
        }
        logs.general.info("%s %s: %s", outcome.crm, outcome.sync_type, outcome.status, extra=said)


class Progress:
    """Shows how far the runs are on standard error: a line for each entity that ended, "37 of 111" before it.

    On a terminal a bar for all of them stands below, and one for each entity that is being read. Of a single entity
    there is no line: the table that follows says it.
    """

    def __init__(self, console: "Console", total: int) -> None:
        self.total = total
        self._console = console
        self._ended: set[tuple[str, str]] = set()
        self._tasks: dict[str, tuple[str, Any]] = {}
        self._bars = self._make_bars() if console.is_terminal else None
        self._all = None
        if self._bars is not None and total > 1:
            self._all = self._bars.add_task("all", total=total, count=f"0 of {total}")

    def _make_bars(self) -> Any:
        from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
        from rich.progress import Progress as Bars

        return Bars(
            TextColumn("{task.description}"),
            BarColumn(bar_width=30),
            TextColumn("{task.fields[count]}"),
            TimeElapsedColumn(),
            console=self._console,
            transient=True,
        )

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Show what is said inside the block."""
        if self._bars is not None:
            logs.watchers.append(self.moved)
        if self.total > 1:
            logs.end_listeners.append(self.ended)
        try:
            with self._bars or contextlib.nullcontext():
                yield
        finally:
            if self._bars is not None:
                logs.watchers.remove(self.moved)
            if self.total > 1:
                logs.end_listeners.remove(self.ended)

    def moved(self, crm: str, sync_type: str, processed: int, estimated: int | None) -> None:
        """Take a line of progress."""
        if self._bars is None:
            return
        before, task = self._tasks.get(crm, ("", None))
        if before != sync_type:
            if task is not None:
                self._bars.remove_task(task)
            task = self._bars.add_task(f"{crm} {sync_type}", total=None, count="")
            self._tasks[crm] = sync_type, task
        of = "" if estimated is None else f" of about {estimated:,}"
        self._bars.update(task, completed=processed, total=estimated, count=f"{processed:,}{of} records")

    def ended(self, crm: str, sync_type: str, status: str, counts: str) -> None:
        """Take the end of an entity. One that is tried again ends twice and is counted once."""
        self._ended.add((crm, sync_type))
        count = f"{len(self._ended)} of {self.total}"
        if self._bars is not None:
            shown, task = self._tasks.get(crm, ("", None))
            if shown == sync_type:
                self._bars.remove_task(task)
                del self._tasks[crm]
            if self._all is not None:
                self._bars.update(self._all, completed=len(self._ended), count=count)
        colour = {"partial": "yellow", "failed": "red"}.get(status, "")
        words = f"{count}  {crm} {sync_type}  {status}{f', {counts}' if counts else ''}"
        self._console.print(words, style=colour, markup=False, highlight=False, soft_wrap=True)

    def rest(self, outcomes: Iterable[Outcome]) -> None:
        """Count those that ended before they began, such as what is read from an entity that failed."""
        for outcome in outcomes:
            if self.total > 1 and (outcome.crm, outcome.sync_type) not in self._ended:
                self.ended(outcome.crm, outcome.sync_type, outcome.status, "")


def entities_of(jobs: Iterable[Job]) -> int:
    """Return how many entities the jobs sync."""
    from warehouse_pipelines.sources import SOURCES

    sizes = {source.name: len(source.entities) for source in SOURCES}
    return sum(sizes[crm] if entity == "all" else 1 for crm, entity in jobs)

"""Runs jobs, several side by side in processes of their own: ``run_jobs``, for the command line and the demo.

``AT_A_TIME`` run at once, because they wait for vendors. A CRM's ``all`` is read in as many parts as its pool allows
(``parts_of``), each a run of its job with some of its entities; all share the budget of the credential. A run for each
entity would share the work better, and take a quarter of a second of processor time for each of them. Processes and not
threads: a process has one run, whose log, interrupts and death are its own. They are forked from one that has imported
everything (``start_importing``), where the system forks safely: four that import for themselves take six seconds
longer on two cores, and four times the memory.
"""

import contextlib
import logging
import multiprocessing
import multiprocessing.forkserver
import os
import signal
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from datetime import date
from typing import TYPE_CHECKING, Any

from warehouse_pipelines import warehouse
from warehouse_pipelines.commands import runner
from warehouse_pipelines.commands.outcome import DIED, Outcome
from warehouse_pipelines.observability import logs, redaction

if TYPE_CHECKING:
    from multiprocessing.queues import SimpleQueue
    from multiprocessing.synchronize import Event

AT_A_TIME = 4
"""Parts side by side."""

AGAIN_SECONDS = 10.0
"""Longer than a run takes to end that is interrupted."""

PRELOADED = "warehouse_pipelines.orchestration.forkserver_preload"
"""The module that imports what the processes of several jobs share."""

Job = tuple[str, str]
"""A CRM, and an entity of it or ``all``."""

Part = tuple[str, str, tuple[str, ...]]
"""A job, and those of its entities that one run syncs; all of them when empty."""

_runners: list[runner.Runner] = []
_stops: list["Event"] = []
"""Those of this process, where it is one of several."""


def start_importing() -> "multiprocessing.context.BaseContext":
    """Import in one process what jobs need, and return the context that forks the processes of ``run_jobs`` from it.

    Does not wait for the imports. Its environment does not matter: ``_begin`` sets that of ``run_jobs``.
    """
    if sys.platform != "linux":
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([PRELOADED])
    multiprocessing.forkserver.ensure_running()
    return context


def run_jobs(
    jobs: Sequence[Job],
    *,
    url: str,
    config: Mapping[str, Any] | None = None,
    days: tuple[date, date] | None = None,
    form: logs.Format = "text",
    level: int = logging.WARNING,
) -> list[Outcome]:
    """Run jobs, side by side if they have several parts, and return what they did, in the order of ``jobs``.

    ``form`` and ``level`` are those of the log. A process that died is the failure of its job. SIGINT and SIGTERM
    cancel what runs and what did not begin yet; the outcomes say which.
    """
    parts = [part for job in jobs for part in parts_of(job, url)]
    if len(parts) == 1:
        crm, entity, only = parts[0]
        alone = runner.Runner(url=url, debug=level <= logging.DEBUG)
        try:
            return alone.run(crm, entity, only=only, config=config, days=days)
        finally:
            alone.close()
    runner.require_database(url)
    processes = start_importing()
    steps = processes.SimpleQueue()
    forwarding = threading.Thread(target=_forward_progress, args=(steps,), daemon=True)
    forwarding.start()
    outcomes: list[Outcome] = []
    stopped = processes.Event()
    given = (dict(os.environ), url, form, level, steps, stopped)
    with (
        _interrupts_set(stopped),
        ProcessPoolExecutor(min(len(parts), AT_A_TIME), processes, _begin, given) as pool,
    ):
        running = [pool.submit(_run_part, part, config, days) for part in parts]
        for (crm, entity, only), done in zip(parts, running, strict=True):
            try:
                outcomes += done.result()
            except BrokenProcessPool:
                died = only or (entity,)
                outcomes += [Outcome(crm=crm, sync_type=name, status="failed", reason=DIED) for name in died]
    steps.put(None)
    forwarding.join()
    return outcomes


LAST_SECONDS = """
SELECT DISTINCT ON (sync_type) sync_type, extract(epoch FROM end_time - start_time)::float8 AS seconds
FROM orchestration.sync_history WHERE crm_source = %s AND status = 'success' ORDER BY sync_type, id DESC
"""


def parts_of(job: Job, url: str) -> list[Part]:
    """Return the parts of a job: as many as the pool of its CRM lets read side by side, about equally long.

    An entity is in one part with all that is read from it. How long each takes is what its last good run took.
    """
    from warehouse_pipelines.sources import SOURCES

    crm, entity = job
    source = next(source for source in SOURCES if source.name == crm)
    if entity != "all" or source.pool == 1:
        return [(crm, entity, ())]
    runner.require_database(url)
    with warehouse.session(url) as session:
        last = {str(row["sync_type"]): float(row["seconds"]) for row in session.execute(LAST_SECONDS, [crm])}
    parents = {declared.table: declared.parent for declared in source.entities}
    families: dict[str, list[str]] = {}
    for declared in source.entities:
        root = declared.table
        while (parent := parents[root]) in parents:
            root = parent
        families.setdefault(root, []).append(declared.name)
    seconds = {root: sum(last.get(name, 1.0) for name in names) for root, names in families.items()}
    if len(families) == 1:
        return [(crm, entity, ())]
    parts: list[tuple[float, list[str]]] = [(0.0, []) for _ in range(min(source.pool, len(families)))]
    for root in sorted(families, key=seconds.__getitem__, reverse=True):
        took, names = parts.pop(0)
        parts.append((took + seconds[root], names + families[root]))
        parts.sort(key=lambda part: part[0])
    return [(crm, entity, tuple(names)) for _, names in reversed(parts)]


def run_apart(job: str, *, url: str) -> str | None:
    """Run a job that syncs nothing in a process of its own; return why it failed, None if it did not."""
    processes = start_importing()
    form: logs.Format = "text"
    given = (dict(os.environ), url, form, logging.ERROR, processes.SimpleQueue(), processes.Event())
    with ProcessPoolExecutor(1, processes, _begin, given) as pool, contextlib.suppress(BrokenProcessPool):
        return pool.submit(_execute, job).result()
    return DIED


def _execute(job: str) -> str | None:
    return _runners[0].execute(job, {}).failure()


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


def _begin(
    environment: Mapping[str, str], url: str, form: logs.Format, level: int, steps: "SimpleQueue[Any]", stopped: "Event"
) -> None:
    """Prepare a process for its jobs; it is interrupted by the event, and not by the terminal beside that."""
    os.environ.clear()
    os.environ.update(environment)
    os.setpgrp()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # but while Dagster runs a job
    threading.Thread(target=_interrupt, args=(stopped, os.getppid()), daemon=True).start()
    _stops.append(stopped)
    logs.configure(form, level)
    redaction.hide_password(url)
    logs.progress_listeners.append(lambda *step: steps.put(("moved", step)))
    logs.end_listeners.append(lambda *end: steps.put(("ended", end)))
    if not stopped.is_set():
        _runners.append(runner.Runner(url=url, debug=level <= logging.DEBUG))


def _interrupt(stopped: "Event", parent: int) -> None:
    """Interrupt this process when the event is set, or when the one that started it has ended.

    And once more after ``AGAIN_SECONDS``: the first interrupt is ignored if a part was about to begin. A process whose
    starter has ended waits for parts that never come, so it ends then.
    """
    while not stopped.wait(1.0) and os.getppid() == parent:
        pass
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(AGAIN_SECONDS)
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(AGAIN_SECONDS)
    if os.getppid() != parent:
        os._exit(1)


def _run_part(part: Part, config: Mapping[str, Any] | None, days: tuple[date, date] | None) -> list[Outcome]:
    crm, entity, only = part
    if _stops[0].is_set():
        return [runner.not_run(crm, declared) for _, declared in runner.missing(crm, entity, (), only)]
    return _runners[0].run(crm, entity, only=only, config=config, days=days)


def _forward_progress(steps: "SimpleQueue[Any]") -> None:
    """Call the listeners of this process for what the other processes report of their syncs."""
    while (report := steps.get()) is not None:
        what, words = report
        for listener in logs.progress_listeners if what == "moved" else logs.end_listeners:
            listener(*words)


def entities_of(jobs: Iterable[Job]) -> int:
    """Return how many entities the jobs sync."""
    from warehouse_pipelines.sources import SOURCES

    sizes = {source.name: len(source.entities) for source in SOURCES}
    return sum(sizes[crm] if entity == "all" else 1 for crm, entity in jobs)

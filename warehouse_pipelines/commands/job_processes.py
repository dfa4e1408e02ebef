"""Runs jobs, several side by side in processes of their own: ``run_jobs``, for the command line and the demo.

Several run at once (``WAREHOUSE_PARTS_AT_A_TIME``), because they wait for vendors. A CRM's ``all`` is read in as many
parts as its pool allows (``parts_of``), each a run of its job with some of its entities; all share the budget of the
credential. A run for each entity would share the work better, and take a quarter of a second of processor time for each
of them. Processes and not threads: a process has one run, whose log, interrupts and death are its own. They are forked
from one that has imported everything (``start_importing``), where the system forks safely: four that import for
themselves take six seconds longer on two cores, and four times the memory.
"""

import contextlib
import logging
import multiprocessing
import multiprocessing.forkserver
import os
import select
import signal
import sys
import threading
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from datetime import date
from typing import TYPE_CHECKING, Any

from warehouse_pipelines import warehouse
from warehouse_pipelines.commands import runner
from warehouse_pipelines.commands.outcome import DIED, Outcome, outcomes_of
from warehouse_pipelines.observability import logs, redaction
from warehouse_pipelines.settings import settings

if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from multiprocessing.queues import SimpleQueue

AGAIN_SECONDS = 10.0
"""Longer than a run takes to end that is interrupted."""

SIGNAL_SECONDS = 1.0
"""How long a signal may wait that the system gave to another thread than this one, which alone can handle it."""

PRELOADED = "warehouse_pipelines.orchestration.forkserver_preload"
"""The module that imports what the processes of several jobs share."""

Job = tuple[str, str]
"""A CRM, and an entity of it or ``all``."""

Part = tuple[str, str, tuple[str, ...]]
"""A job, and those of its entities that one run syncs; all of them when empty."""

_runners: list[runner.Runner] = []
_stops: list["Connection"] = []
"""Those of this process, where it is one of several."""

_busy = threading.Lock()
"""Held while this process, where it is one of several, runs a part."""


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

    ``form`` and ``level`` are those of the log. A process that died is the failure of what it did not commit; it ends
    the other processes too. SIGINT, SIGTERM and SIGHUP cancel what runs and what did not begin yet; the outcomes say
    which.
    """
    at_a_time = settings().warehouse_parts_at_a_time
    parts = [part for job in jobs for part in parts_of(job, url, at_a_time)]
    if len(parts) == 1:
        crm, entity, only = parts[0]
        alone = runner.Runner(url=url, debug=level <= logging.DEBUG, only=(crm, entity))
        try:
            return alone.run(crm, entity, only=only, config=config, days=days)
        finally:
            alone.close()
    runner.require_database(url)
    processes = start_importing()
    steps = processes.SimpleQueue()
    forwarding = threading.Thread(target=_forward_progress, args=(steps,), daemon=True)
    forwarding.start()
    ended: list[list[Outcome] | None] = []
    run_ids = [str(uuid.uuid4()) for _ in parts]
    stopped, stop = processes.Pipe(duplex=False)
    given = (dict(os.environ), url, form, level, steps, stopped)
    with stopped, stop:
        with (
            _interrupts_set(stop),
            ProcessPoolExecutor(min(len(parts), at_a_time), processes, _begin, given) as pool,
        ):
            running = [pool.submit(_run_part, *one, config, days) for one in zip(parts, run_ids, strict=True)]
            for done in running:
                while not done.done():
                    wait([done], SIGNAL_SECONDS)
                try:
                    ended.append(done.result())
                except BrokenProcessPool:
                    ended.append(None)
        cancelled = stopped.poll()
    steps.put(None)
    forwarding.join()
    found: list[Outcome] = []
    for part, run_id, outcomes in zip(parts, run_ids, ended, strict=True):
        found += _of_died(part, run_id, url, cancelled=cancelled) if outcomes is None else outcomes
    return found


def _of_died(part: Part, run_id: str, url: str, *, cancelled: bool) -> list[Outcome]:
    """Return what a part did that did not tell: its process died, or was ended because another one died."""
    crm, entity, only = part
    outcomes = [
        replace(done, status="failed", reason=DIED) if done.status == "cancelled" and not cancelled else done
        for done in outcomes_of(run_id, url)
    ]
    left = runner.missing(crm, entity, outcomes, only)
    return [
        *outcomes,
        *(Outcome(crm=crm, sync_type=one.name, status="failed", reason=DIED) for _, one in left),
    ]


def parts_of(job: Job, url: str, at_a_time: int) -> list[Part]:
    """Return the parts of a job: as many as the pool of its CRM lets read ``at_a_time``, about equally long."""
    from warehouse_pipelines.loading.run_parts import run_parts
    from warehouse_pipelines.sources import SOURCES

    crm, entity = job
    source = next(source for source in SOURCES if source.name == crm)
    most = min(source.pool, at_a_time)
    if entity != "all" or most == 1:
        return [(crm, entity, ())]
    runner.require_database(url)
    with warehouse.session(url) as session:
        parts = run_parts(session, source, source.entities, most)
    return [(crm, entity, tuple(one.name for one in part) if len(parts) > 1 else ()) for part in parts]


def run_apart(job: str, *, url: str) -> str | None:
    """Run a job that syncs nothing in a process of its own; return why it failed, None if it did not."""
    processes = start_importing()
    form: logs.Format = "text"
    stopped, stop = processes.Pipe(duplex=False)
    given = (dict(os.environ), url, form, logging.ERROR, processes.SimpleQueue(), stopped)
    with (
        stopped,
        stop,
        ProcessPoolExecutor(1, processes, _begin, given) as pool,
        contextlib.suppress(BrokenProcessPool),
    ):
        return pool.submit(_execute, job).result()
    return DIED


def _execute(job: str) -> str | None:
    with _busy:
        return _runners[0].execute(job, {}).failure()


@contextlib.contextmanager
def _interrupts_set(stop: "Connection") -> Iterator[None]:
    """Write to the pipe at SIGINT, SIGTERM and SIGHUP; a second one interrupts as usual. ``nohup`` has its way."""
    asked = False

    def interrupted(*_: object) -> None:
        nonlocal asked
        if asked:
            raise KeyboardInterrupt
        asked = True
        os.write(stop.fileno(), b".")

    numbers = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
        numbers.append(signal.SIGHUP)
    before = {number: signal.signal(number, interrupted) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _begin(
    environment: Mapping[str, str],
    url: str,
    form: logs.Format,
    level: int,
    steps: "SimpleQueue[Any]",
    stopped: "Connection",
) -> None:
    """Prepare a process for its jobs; it is interrupted by the pipe, and not by the terminal beside that.

    Only the one that started it has the other end of the pipe. What is written there is never read, so every process
    sees it.
    """
    os.environ.clear()
    os.environ.update(environment)
    os.setpgrp()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # but while Dagster runs a job
    threading.Thread(target=_interrupt, args=(stopped,), daemon=True).start()
    _stops.append(stopped)
    logs.configure(form, level)
    redaction.hide_password(url)
    logs.progress_listeners.append(lambda *step: steps.put(("moved", step)))
    logs.end_listeners.append(lambda *end: steps.put(("ended", end)))
    if not stopped.poll():
        _runners.append(runner.Runner(url=url, debug=level <= logging.DEBUG))


def _interrupt(stopped: "Connection") -> None:
    """Interrupt this process when its starter asks for that or has ended, and end it when its starter has ended.

    A part is interrupted twice: the first time is ignored if it was about to begin. The parent process does not tell
    that the starter has ended: it is the fork server, which lives as long as any process that it forked.
    """
    stopped.poll(None)
    for _ in range(2):
        os.kill(os.getpid(), signal.SIGINT)
        if _busy.acquire(timeout=AGAIN_SECONDS):
            _busy.release()
            break
    ended = select.poll()
    ended.register(stopped.fileno(), 0)  # which leaves the end of the other side
    ended.poll()
    os._exit(1)


def _run_part(
    part: Part, run_id: str, config: Mapping[str, Any] | None, days: tuple[date, date] | None
) -> list[Outcome]:
    crm, entity, only = part
    with _busy:
        if _stops[0].poll():
            return [runner.not_run(crm, declared) for _, declared in runner.missing(crm, entity, (), only)]
        return _runners[0].run(crm, entity, only=only, config=config, days=days, run_id=run_id)


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

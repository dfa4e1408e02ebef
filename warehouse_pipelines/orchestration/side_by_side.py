"""Runs the steps of a run that syncs the entities of one CRM in several processes: ``side_by_side``.

So ``sync_<crm>_all`` that a person launches in Dagster's UI reads the vendor in as many parts as its pool allows, as
``warehouse sync <crm> all`` does with a run for each part. Here they are one run: one page, one timeline, one button
that ends it. Each part is a fork of the process of the run and does what Dagster's in-process executor does, so it
claims its slots of the pool itself. A process for each step, as Dagster's multiprocess executor has, took three times
the processor.

Decided:

- What is read from an entity is in its part, so no part waits for another.
- A tick asked for its runs with their entities and has divided them already.
- The lock of the run is the parent's. A part ends at once when its parent has ended.
- When the process of a part is killed, its step that was under way has failed, and its slot is free. The other parts go
  on to their end. Then the run fails as one whose own process died, and Dagster starts it once more, with what failed
  or did not begin.
- Threads would share one interrupt, which only the main thread gets.
"""

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from multiprocessing.process import BaseProcess
from typing import TYPE_CHECKING, cast

import dagster as dg
from dagster._core.errors import DagsterExecutionInterruptedError, DagsterSubprocessError
from dagster._core.events import EngineEventData
from dagster._core.execution.api import ExecuteRunWithPlanIterable, create_execution_plan
from dagster._core.execution.context_creation_job import PlanExecutionContextManager
from dagster._core.execution.plan.objects import StepFailureData
from dagster._core.executor.child_process_executor import (
    ChildProcessCommand,
    ChildProcessCrashException,
    ChildProcessSystemErrorEvent,
    execute_child_process_command,
)
from dagster._core.executor.in_process import inprocess_execution_iterator
from dagster._core.storage.tags import SCHEDULE_NAME_TAG
from dagster._utils import get_run_crash_explanation
from dagster._utils.interrupts import pop_captured_interrupt
from dagster_shared.error import SerializableErrorInfo

from warehouse_pipelines import warehouse
from warehouse_pipelines.loading.run_parts import run_parts
from warehouse_pipelines.model.source import Source
from warehouse_pipelines.orchestration.assets import step_key
from warehouse_pipelines.orchestration.dagster_storage import keep_connections
from warehouse_pipelines.settings import settings

if TYPE_CHECKING:
    from dagster._core.execution.context.system import PlanOrchestrationContext
    from dagster._core.execution.plan.plan import ExecutionPlan

Parts = Sequence[Sequence[str]]
"""The steps of each part."""

Waiting = Callable[[dg.DagsterInstance], AbstractContextManager[object]]
"""How a process waits for slots of the pool (``run_lock.waiting``)."""


def parts_of(run: dg.DagsterRun, steps: Sequence[str], sources: Sequence[Source], url: str) -> Parts:
    """Return the parts of a run with these steps; one, where it is not to be divided."""
    asked_by_tick = run.asset_selection is not None and SCHEDULE_NAME_TAG in run.tags
    # A process that was started as a daemon of multiprocessing, as those of Celery are, may start none.
    can_fork = sys.platform == "linux" and not multiprocessing.current_process().daemon
    if asked_by_tick or not can_fork:
        return [steps]
    for source in sources:
        entities = {step_key(entity): entity for entity in source.entities}
        if entities.keys() >= {*steps}:
            most = min(source.pool, settings().warehouse_parts_at_a_time)
            with warehouse.session(url) as session:
                parts = run_parts(session, source, [entities[step] for step in steps], most)
            return [[step_key(entity) for entity in part] for part in parts]
    return [steps]


class _Part(ChildProcessCommand):
    """What the process of a part does."""

    def __init__(
        self, context: "PlanOrchestrationContext", plan: "ExecutionPlan", steps: Sequence[str], waiting: Waiting
    ) -> None:
        self._context, self._plan, self._steps, self._waiting = context, plan, steps, waiting

    def execute(self) -> Iterator[dg.DagsterEvent]:
        """Yield the events of the part, which are stored already."""
        threading.Thread(target=_end_with_parent, daemon=True).start()
        context = self._context
        with dg.DagsterInstance.from_ref(context.instance.get_ref()) as instance, self._waiting(instance):
            keep_connections(instance)
            plan = create_execution_plan(
                job=context.job,
                run_config=context.run_config,
                step_keys_to_execute=[*self._steps],
                known_state=self._plan.known_state,
                repository_load_data=self._plan.repository_load_data,
            )
            manager = PlanExecutionContextManager(
                job=context.job,
                retry_mode=context.retry_mode,
                execution_plan=plan,
                run_config=context.run_config,
                dagster_run=context.dagster_run,
                instance=instance,
            )
            yield from ExecuteRunWithPlanIterable(plan, inprocess_execution_iterator, manager)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


class _Child:
    """The process of a part, as its parent sees it."""

    def __init__(
        self, context: "PlanOrchestrationContext", plan: "ExecutionPlan", steps: Sequence[str], waiting: Waiting
    ) -> None:
        forks = multiprocessing.get_context("fork")
        self.error: SerializableErrorInfo | None = None
        self._context, self._plan, self._steps = context, plan, steps
        self._told = execute_child_process_command(forks, _Part(context, plan, steps, waiting))
        self._process: BaseProcess = next(self._told)  # type: ignore[assignment]  # it is the first that is told

    def events(self) -> Iterator[dg.DagsterEvent | None]:
        """Yield the events of the part, None while there is none, and a failure of each step that it left open."""
        under_way: set[str] = set()
        try:
            for told in self._told:
                if isinstance(told, ChildProcessSystemErrorEvent):
                    self.error = told.error_info
                if not isinstance(told, dg.DagsterEvent):
                    yield None
                    continue
                if told.step_key and told.is_step_start:
                    under_way.add(told.step_key)
                elif told.step_key and (told.is_step_success or told.is_step_failure):
                    under_way.discard(told.step_key)
                yield told
        except ChildProcessCrashException as crash:
            said = get_run_crash_explanation(f"The process of {', '.join(self._steps)}", crash.exit_code)
            self.error = SerializableErrorInfo(said, [], type(crash).__name__)
        if self.error is not None:
            for step in self._steps:
                self._context.instance.event_log_storage.free_concurrency_slot_for_step(self._context.run_id, step)
            for step in sorted(under_way):
                of_step = self._context.for_step(self._plan.get_step_by_key(step))  # type: ignore[arg-type]
                yield dg.DagsterEvent.step_failure_event(of_step, StepFailureData(self.error, None))

    def interrupt(self) -> None:
        """Ask the process to end. An event of multiprocessing, as Dagster has for it, is never set once it is dead."""
        if self._process.is_alive():
            os.kill(cast(int, self._process.pid), signal.SIGINT)

    def end(self) -> None:
        """Ask the process to end, if it has not ended, and wait for that."""
        self.interrupt()
        self._told.close()  # type: ignore[attr-defined]  # it is a generator
        self._process.join()


def side_by_side(
    context: "PlanOrchestrationContext", plan: "ExecutionPlan", parts: Parts, waiting: Waiting
) -> Iterator[dg.DagsterEvent]:
    """Execute the steps of each part in a process of its own, and yield their events; each waits for slots as given.

    Raises ``DagsterExecutionInterruptedError`` after an interrupt, when all have stopped, and
    ``DagsterSubprocessError`` when a process ended before its part.
    """
    yield dg.DagsterEvent.engine_event(
        context,
        f"Executing the steps in {len(parts)} processes side by side: {'; '.join(', '.join(part) for part in parts)}",
        EngineEventData.multiprocess(os.getpid(), step_keys_to_execute=plan.step_keys_to_execute),
    )
    children: list[_Child] = []
    stopped = False
    try:
        for part in parts:
            children.append(_Child(context, plan, part, waiting))
        running = [child.events() for child in children]
        while running:
            if pop_captured_interrupt():
                stopped = True
                for child in children:
                    child.interrupt()
            for events in [*running]:
                try:
                    event = next(events)
                except StopIteration:
                    running.remove(events)
                    continue
                if event is not None:
                    yield event
    finally:
        for child in children:
            child.end()
    if stopped:
        raise DagsterExecutionInterruptedError
    if errors := [child.error for child in children if child.error is not None]:
        raise DagsterSubprocessError(" ".join(error.message for error in errors), subprocess_error_infos=errors)

"""Runs the jobs that the UI launches, without a daemon: one at a time, in this process.

A run is stored by the instance of ``DAGSTER_HOME``, so the UI shows it beside the others. Its outcomes come from
``orchestration.sync_history`` alone. ``job_processes`` runs several side by side.

Importing Dagster takes a second, so the first run imports what is heavy, and not this module.
"""

import gc
import importlib
import uuid
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

from warehouse_pipelines import settings, warehouse
from warehouse_pipelines.commands.outcome import Outcome, outcomes_of
from warehouse_pipelines.errors import ActionNeeded

if TYPE_CHECKING:
    import dagster as dg
    from dagster._core.remote_origin import RemoteJobOrigin

    from warehouse_pipelines.model.entity import Entity
    from warehouse_pipelines.model.source import Source


def require_database(url: str) -> None:
    """Ask, before anything is started, whether the warehouse answers and has a history to write.

    Raises ``DatabaseUnavailable``, and ``ActionNeeded`` when it is not migrated.
    """
    with warehouse.session(url) as session:
        if not warehouse.has_table(session, "orchestration.sync_history"):
            raise ActionNeeded("The database is not migrated; run `warehouse migrate`.")


@dataclass(frozen=True)
class Done:
    """A run that has ended: its events, and why it gave up waiting for a vendor's slot."""

    run_id: str
    events: "Sequence[dg.DagsterEvent]"
    gave_up: Exception | None

    def failure(self) -> str | None:
        """Return why the run failed, None when it succeeded."""
        step = next((_message(event) for event in self.events if event.is_step_failure), None)
        if step is not None:
            return step
        return next((event.message for event in self.events if event.is_failure), None)

    def metadata(self) -> dict[str, Any]:
        """Return what the first materialization says of the run, without Dagster's own names."""
        first = next(iter(self.materializations()), {})
        return {name: value for name, value in first.items() if name != "rows"}

    def materializations(self) -> list[dict[str, Any]]:
        """Return what each materialization says, without Dagster's own names, and its row count as ``rows``."""
        found = []
        for event in self.events:
            if event.event_type_value == "ASSET_MATERIALIZATION":
                shown = event.step_materialization_data.materialization.metadata
                rows = shown.get("dagster/row_count")
                counted = {"rows": rows.value} if rows is not None else {}
                found.append(counted | {name: value.value for name, value in shown.items() if "/" not in name})
        return found


class Runner:
    """Runs jobs one after another. Dagster's own lines are printed with ``debug`` only.

    With ``only``, a CRM and an entity of it or ``all``, it can ``run`` these alone, and starts sooner.
    """

    def __init__(self, *, url: str, debug: bool = False, only: tuple[str, str] | None = None) -> None:
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
        self._defs = _definitions(only, url)
        run_lock.close_dead_runs(self.instance, url)
        # Of one CRM the sync begins in this process, and imports dlt; of several it begins in others.
        for name in ("warehouse_pipelines.loading.sync", *(["dlt"] if only else [])):
            importlib.import_module(name)
        gc.freeze()
        gc.enable()

    def close(self) -> None:
        """Close the connections of the instance."""
        self.instance.dispose()

    def run(
        self,
        crm: str,
        entity: str,
        *,
        only: Sequence[str] = (),
        config: Mapping[str, Any] | None = None,
        days: tuple[date, date] | None = None,
        run_id: str | None = None,
    ) -> list[Outcome]:
        """Run ``sync_<crm>_<entity>`` and return an outcome for each of its entities.

        ``only`` restricts the job ``all`` to these. ``config`` is that of the resource ``sync``; with ``days``, the
        first and the last, the job is that of the backfill. An entity that failed before it had a row in the history is
        returned with Dagster's message as its reason. ``run_id`` is as for ``execute``.
        """
        given = {**(config or {}), **_range(days)}
        kind = "backfill" if days else "sync"
        if len(only) == 1:  # an entity has a job of its own
            entity, only = only[0], ()
        wanted = [declared for _, declared in missing(crm, entity, (), only)]
        assets = [declared.table for declared in wanted] if only else ()
        done = self.execute(f"{kind}_{crm}_{entity}", {"resources": {"sync": {"config": given}}}, assets, run_id)
        outcomes = outcomes_of(done.run_id, self.url)
        left = list(missing(crm, entity, outcomes, only))
        if done.gave_up is not None:
            return [*outcomes, *_refused(left, done.run_id, done.gave_up, self.url, given)]
        return [*outcomes, *_without_row(left, done.events, begun=bool(outcomes))]

    def execute(
        self, name: str, run_config: Mapping[str, Any], assets: Iterable[str] = (), run_id: str | None = None
    ) -> Done:
        """Run the job ``name``, or of it the ``assets``, as the UI does, and return what Dagster said of it.

        ``run_id`` is a UUID that no run has yet.
        """
        import dagster as dg
        from dagster._core.definitions.job_base import InMemoryJob
        from dagster._core.execution.api import execute_run_iterator
        from dagster._utils.interrupts import capture_interrupts

        from warehouse_pipelines.orchestration import run_lock
        from warehouse_pipelines.orchestration.failures import NO_RUN_RETRIES

        job = self._defs.resolve_job_def(name)
        if chosen := {dg.AssetKey(asset.split(".")) for asset in assets}:
            job = job.get_subset(asset_selection=chosen)
        run_id = run_id or str(uuid.uuid4())
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
                    **run_config,
                    "loggers": {"console": {"config": {"log_level": "DEBUG" if self._debug else "CRITICAL"}}},
                },
                # Whoever started a command that was killed decides whether it is started again.
                tags={**job.run_tags, **tag, **NO_RUN_RETRIES},
                remote_job_origin=origin(job.name),
            )
            return Done(run_id, [*execute_run_iterator(InMemoryJob(job), run, self.instance)], waited.gave_up)


def _definitions(only: tuple[str, str] | None, url: str) -> "dg.Definitions":
    """Return all definitions, or those of a CRM and an entity of it."""
    if only:
        from warehouse_pipelines.orchestration.one_crm import definitions_of
        from warehouse_pipelines.sources import SOURCES

        crm, entity = only
        return definitions_of(next(source for source in SOURCES if source.name == crm), entity, lambda: url)
    from warehouse_pipelines.definitions import defs

    return defs


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


def not_run(crm: str, entity: "Entity") -> Outcome:
    """Return the outcome of an entity that was cancelled before it began."""
    return Outcome(crm=crm, sync_type=entity.name, status="cancelled", reason="not run: cancelled")


def _range(days: tuple[date, date] | None) -> dict[str, str]:
    if days is None:
        return {}
    first, last = days
    return {"start_date": first.isoformat(), "end_date": last.isoformat()}


def _refused(
    left: Sequence[tuple["Source", "Entity"]], run_id: str, error: Exception, url: str, given: Mapping[str, Any]
) -> Iterator[Outcome]:
    """Write a row of each entity that had to give up waiting, and yield these outcomes; ``given`` are the options."""
    from warehouse_pipelines.loading import run_report, sync_history
    from warehouse_pipelines.orchestration.assets import SyncOptions

    options = SyncOptions(**given).options()
    with warehouse.session(url) as session:
        for source, declared in left:
            sync_history.refuse(
                session, source, declared, error, start_time=datetime.now(UTC), run_id=run_id,
                asked=run_report.asked(source, declared, options),
            )  # fmt: skip
    refused = {declared.name for _, declared in left}
    yield from (outcome for outcome in outcomes_of(run_id, url) if outcome.sync_type in refused)


def missing(
    crm: str, entity: str, outcomes: Sequence[Outcome], only: Sequence[str] = ()
) -> Iterator[tuple["Source", "Entity"]]:
    """Yield the entities of the job, or ``only`` these of them, that are not among the outcomes."""
    from warehouse_pipelines.sources import SOURCES

    have = {outcome.sync_type for outcome in outcomes}
    source = next(source for source in SOURCES if source.name == crm)
    for declared in source.entities:
        if declared.name not in have and entity in ("all", declared.name) and (not only or declared.name in only):
            yield source, declared


def _without_row(
    left: Sequence[tuple["Source", "Entity"]], events: Sequence["dg.DagsterEvent"], *, begun: bool
) -> Iterator[Outcome]:
    """Yield the entities of the job that the history does not know: the run did not get as far."""
    from warehouse_pipelines.orchestration.assets import step_key

    failures = {event.step_key: _message(event) for event in events if event.is_step_failure}
    ended = next((event.message for event in events if event.is_failure and not event.is_step_event), None)
    cancelled = any(event.event_type_value == "PIPELINE_CANCELED" for event in events)
    for source, declared in left:
        if cancelled:
            yield not_run(source.name, declared)
            continue
        reason = failures.get(step_key(declared))
        if reason is None:
            reason = "not run, because what it is read from failed" if begun else ended or "Dagster says no more"
        yield Outcome(crm=source.name, sync_type=declared.name, status="failed", reason=reason)


def _message(event: "dg.DagsterEvent") -> str:
    failure = event.step_failure_data
    if failure.user_failure_data and failure.user_failure_data.description:
        return failure.user_failure_data.description
    error = failure.error
    while error is not None and error.cause is not None:
        error = error.cause
    return error.message.strip() if error is not None else "no message"

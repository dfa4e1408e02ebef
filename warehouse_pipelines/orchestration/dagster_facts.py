"""What rules of alerts ask Dagster, which is in no table of the warehouse: a function for each, by the rule's name.

Dagster tells nobody when a sensor throws, when a schedule that is on does not tick, or when a check of an asset fails
in a run that succeeds. Its own storage has all three, and is asked through the instance.

A schedule or sensor is *on* as Dagster's daemon sees it: by the state that somebody gave it in the UI, else as it is
declared here.
"""

import itertools
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg
import sqlalchemy as sa
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.scheduler.instigation import InstigatorState, InstigatorStatus, InstigatorTick, TickStatus
from dagster._core.storage.event_log.schema import AssetCheckExecutionsTable as Checks
from dagster._utils.schedules import schedule_execution_time_iterator

from warehouse_pipelines import settings, warehouse
from warehouse_pipelines.errors import WarehouseError
from warehouse_pipelines.observability.alerts import rules
from warehouse_pipelines.observability.alerts.rules import Fault, Rule
from warehouse_pipelines.orchestration.checks import TOLD_OTHERWISE
from warehouse_pipelines.queries import query

if TYPE_CHECKING:
    from warehouse_pipelines.observability.alerts.evaluate import Collector

OLDEST = timedelta(hours=47)
"""How long ago a tick may have been due that is missed: Dagster keeps skipped ticks for two days."""


@dataclass(frozen=True)
class DagsterFacts:
    """Dagster's instance and what is defined, with the CRMs that are judged of the warehouse at ``url``."""

    instance: dg.DagsterInstance
    repository: dg.RepositoryDefinition
    url: str
    crms: Sequence[str]
    now: datetime

    def collectors(self) -> "Mapping[str, Collector]":
        """Return what asks for the facts of each rule."""
        return {
            "schedule_off": self.schedules_off,
            "schedule_silent": self.schedules_silent,
            "sensor_failing": self.failing_ticks,
            "check_failed": self.failed_checks,
            "job_failing": self.failed_jobs,
            "disk": self.disks,
        }

    def schedules_off(self, rule: Rule) -> list[Fault]:
        """Find the schedules of judged CRMs that are off, and have entities that are switched on."""
        states = states_by_name(self.instance, InstigatorType.SCHEDULE)
        declared = {one.name: one for one in self.repository.schedule_defs}
        return [
            Fault(name, f"it is stopped, and {len(entities)} entities wait for it", crm, cause=crm, entities=entities)
            for name, (crm, entities) in self._entities().items()
            if name in declared and not is_on(declared[name], states.get(name))
        ]

    def schedules_silent(self, rule: Rule) -> list[Fault]:
        """Find the schedules that are on and did not tick when they were due, ``threshold`` minutes ago or longer.

        Those that sync nothing explain nothing, so they are an incident of their own: what joins one is not told.
        """
        found, states = [], states_by_name(self.instance, InstigatorType.SCHEDULE)
        waiting = self._entities()
        late = self.now - timedelta(minutes=rule.threshold or 0)
        for one in self.repository.schedule_defs:
            state = states.get(one.name)
            if state is None or not is_on(one, state):
                continue
            due = _last_due(one, late)
            data: Any = state.instigator_data
            begun = (data and data.start_timestamp) or 0.0
            if due.timestamp() < begun or self.now - due > OLDEST:
                continue
            ticks = self.instance.get_ticks(state.instigator_origin_id, state.selector_id, limit=1)
            if not ticks or ticks[0].timestamp < due.timestamp():
                last = f"last {_clock(ticks[0].timestamp)}" if ticks else "never yet"
                text = f"it was due at {_clock(due.timestamp())} and did not tick; {last}"
                crm, entities = waiting.get(one.name, (None, ()))
                found.append(Fault(one.name, text, crm, cause="on" if crm else "on, of no CRM", entities=entities))
        return found

    def failing_ticks(self, rule: Rule) -> list[Fault]:
        """Find the sensors and schedules that threw ``threshold`` times in a row: in as many ticks, or tries of one."""
        found = []
        wanted = int(rule.threshold or 1)
        kinds: Iterable[tuple[InstigatorType, Iterable[Any]]] = (
            (InstigatorType.SCHEDULE, self.repository.schedule_defs),
            (InstigatorType.SENSOR, self.repository.sensor_defs),
        )
        for kind, declared in kinds:
            states = states_by_name(self.instance, kind)
            on = {one.name: states[one.name] for one in declared if one.name in states and is_on(one, states[one.name])}
            for name, ticks in self._ticks(on, wanted).items():
                failed = list(itertools.takewhile(lambda tick: tick.status == TickStatus.FAILURE, ticks))
                if failed and max(len(failed), failed[0].consecutive_failure_count) >= wanted:
                    error = failed[0].error
                    said = (error.cause or error).message if error else "no error is kept"
                    last = " ".join(said.split())
                    found.append(Fault(name, f"it failed {wanted} times in a row: {last}"))
        return found

    def failed_checks(self, rule: Rule) -> list[Fault]:
        """Find the checks whose last evaluation failed, but for those whose subject has a rule of its own.

        What belongs to a CRM that is not configured is not judged.
        """
        records = self.instance.event_log_storage.get_latest_asset_check_execution_by_key(self._failed_checks())
        with warehouse.session(self.url) as session, rules.asking(session):
            rows = session.execute(
                "SELECT table_name, crm_source, sync_type FROM orchestration.source_table"
            ).fetchall()
        entities = {row["table_name"]: (row["crm_source"], row["sync_type"]) for row in rows}
        found = []
        for key, record in records.items():
            evaluation = record.event.asset_check_evaluation if record.event and record.event.dagster_event else None
            crm, entity = entities.get(".".join(key.asset_key.path), (None, None))
            if evaluation is None or evaluation.passed or (crm is not None and crm not in self.crms):
                continue
            text = f"the check {key.name} failed: {evaluation.description or 'it says no more'}"
            found.append(Fault(f"{key.asset_key.to_user_string()} {key.name}", text, crm, entity))
        return found

    def failed_jobs(self, rule: Rule) -> list[Fault]:
        """Find the jobs beside those of syncs whose last run failed."""
        found = []
        ended = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE]
        for name in sorted(self.repository.job_names):
            if name.startswith(("sync_", "backfill_", "__")):
                continue
            runs = self.instance.get_run_records(dg.RunsFilter(job_name=name, statuses=ended), limit=1)
            if runs and runs[0].dagster_run.status == dg.DagsterRunStatus.FAILURE:
                at = runs[0].end_time or runs[0].create_timestamp.timestamp()
                found.append(Fault(name, f"its last run failed at {_clock(at)} (run {runs[0].dagster_run.run_id[:8]})"))
        return found

    def _entities(self) -> Mapping[str, tuple[str, tuple[str, ...]]]:
        """Return by schedule its CRM and the entities that it syncs and that are on; of CRMs that are judged."""
        with warehouse.session(self.url) as session, rules.asking(session):
            rows = session.execute(query("alerts_scheduled_entities"), {"crms": list(self.crms)}).fetchall()
        return {row["schedule"]: (row["crm"], tuple(row["entities"])) for row in rows}

    def _failed_checks(self) -> list[dg.AssetCheckKey]:
        """Return the checks whose last evaluation failed; to unpack those of all takes 0.1 s, every minute."""
        storage: Any = self.instance.event_log_storage
        latest = sa.select(sa.func.max(Checks.c.id)).group_by(Checks.c.asset_key, Checks.c.check_name)
        asked = sa.select(Checks.c.asset_key, Checks.c.check_name).where(
            Checks.c.check_name.not_in(TOLD_OTHERWISE), Checks.c.id.in_(latest), Checks.c.execution_status == "FAILED"
        )
        with storage.index_connection() as connection:
            rows = connection.execute(asked).fetchall()
        found = [(dg.AssetKey.from_db_string(asset), name) for asset, name in rows]
        keys = [dg.AssetCheckKey(asset, name) for asset, name in found if asset]
        return [key for key in keys if key in self.repository.asset_graph.asset_check_keys]

    def disks(self, rule: Rule) -> list[Fault]:
        """Find the disks of this machine with less than ``threshold`` percent free that hold something of ours."""
        folders = {settings.dagster_home(), *_data_folder(self.url)}
        by_disk = {folder.stat().st_dev: folder for folder in folders if folder.is_dir()}
        found = []
        for folder in by_disk.values():
            usage = shutil.disk_usage(folder)
            free = 100 * usage.free / usage.total
            if free < (rule.threshold or 0):
                found.append(Fault(str(folder), f"{free:.1f} % of its disk are free, {usage.free / 2**30:.1f} GB"))
        return found

    def _ticks(self, states: Mapping[str, InstigatorState], limit: int) -> Mapping[str, Sequence[InstigatorTick]]:
        """Return the last ticks of each that ended, newest first.

        Not by their status, for which Dagster's storage cannot be asked of several at once: one more, then without
        those that are under way.
        """
        if self.instance.supports_batch_tick_queries and states:
            selectors = [state.selector_id for state in states.values()]
            by_selector = self.instance.get_batch_ticks(selectors, limit=limit + 1)
            found = {name: by_selector.get(state.selector_id, ()) for name, state in states.items()}
        else:
            found = {
                name: self.instance.get_ticks(state.instigator_origin_id, state.selector_id, limit=limit + 1)
                for name, state in states.items()
            }
        ended = {name: [tick for tick in ticks if tick.status != TickStatus.STARTED] for name, ticks in found.items()}
        return {name: ticks[:limit] for name, ticks in ended.items()}


def states_by_name(instance: dg.DagsterInstance, kind: InstigatorType) -> dict[str, InstigatorState]:
    """Return the states of the schedules or sensors of this code location by name."""
    return {state.instigator_name: state for state in instance.all_instigator_state(instigator_type=kind)}


def is_on(declared: "dg.ScheduleDefinition | dg.SensorDefinition", state: InstigatorState | None) -> bool:
    """Return whether Dagster's daemon takes a schedule or sensor for one that is on."""
    by_default = bool(declared.default_status.value == "RUNNING")
    if state is None or state.status == InstigatorStatus.DECLARED_IN_CODE:
        return by_default
    return state.status == InstigatorStatus.RUNNING


def _last_due(schedule: dg.ScheduleDefinition, before: datetime) -> datetime:
    """Return the last time at which a schedule was to tick, at ``before`` or earlier."""
    times = schedule_execution_time_iterator(
        before.timestamp(), schedule.cron_schedule, schedule.execution_timezone, ascending=False
    )
    return next(iter(times)).astimezone(UTC)


def _data_folder(url: str) -> Iterable[Path]:
    """Yield PostgreSQL's folder, where it is on this machine and may be seen."""
    import psycopg

    try:
        with warehouse.session(url) as session, rules.asking(session):
            shown = warehouse.value(session, "SELECT current_setting('data_directory', true)")
    except (psycopg.Error, WarehouseError):  # not everybody may ask
        return
    if shown and (folder := Path(shown)).is_dir():
        yield folder


def _clock(timestamp: float) -> str:
    return f"{datetime.fromtimestamp(timestamp, UTC):%Y-%m-%d %H:%M} UTC"

"""Keeps Dagster's own storage from growing without end: ``prune_dagster`` deletes old runs every night.

With all schedules on there are 110 to 860 runs a day, and Dagster deletes none of them. A run goes with its events, its
compute log and its check evaluations when it is older than ``orchestration.retention_policy`` says, or a setting
(``WAREHOUSE_RUN_DAYS``, ``WAREHOUSE_FAILED_RUN_DAYS``), which wins. What the UI shows of an asset is kept, however old:
the run of its last materialization and observation and of the last evaluation of each check; and of a backfill job the
last run of each partition. Events that belong to no run, such as the materializations of probes, go after the days of
runs that ended well, but for the last of each asset. Ticks of schedules and sensors are deleted by Dagster
(``retention`` in ``dagster.yaml``).

What a sync did stands in ``orchestration.sync_history``, which is not touched here.

Everything goes through the instance, so it works on any storage of Dagster; check evaluations, which Dagster deletes
with their asset only, through the table that Dagster declares, and SQLite's file of a run, which Dagster leaves empty.
PostgreSQL and SQLite use the room again.

It is no task of ``maintenance``, whose tasks get a session of the warehouse and fail without one: it gets Dagster's
instance, and prunes by the defaults while the warehouse is away.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg
import sqlalchemy as sa
from dagster._core.instance import RUNLESS_RUN_ID
from dagster._core.storage.event_log import SqliteEventLogStorage
from dagster._core.storage.event_log.schema import AssetCheckExecutionsTable as Checks
from dagster._core.storage.event_log.schema import AssetEventTagsTable as Tags
from dagster._core.storage.event_log.schema import SqlEventLogStorageTable as Events
from dagster._core.storage.tags import PARTITION_SET_TAG

from warehouse_pipelines import settings, warehouse
from warehouse_pipelines.errors import DatabaseUnavailable, masked

if TYPE_CHECKING:
    from warehouse_pipelines.loading.retention import Amount, Policy

log = logging.getLogger("warehouse")

NAME, ABOUT = "prune_dagster", "Delete old runs from Dagster's storage."

Ages = Mapping[dg.DagsterRunStatus, int]
"""How many days a run is kept, by how it ended."""


ENDINGS = {
    "dagster_runs": (dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.CANCELED),
    "dagster_failed_runs": (dg.DagsterRunStatus.FAILURE,),
}
"""How the runs ended that each kind of ``orchestration.retention_policy`` has."""

DEFAULTS = {"dagster_runs": 7, "dagster_failed_runs": 30}
"""Days that runs are kept while the warehouse does not say."""


def policies(url: str) -> "dict[str, Policy]":
    """Return the policies of Dagster's runs, as the settings and the warehouse say; a setting wins."""
    import psycopg

    from warehouse_pipelines.loading import retention

    found = settings.settings()
    set_days = {"dagster_runs": found.warehouse_run_days, "dagster_failed_runs": found.warehouse_failed_run_days}
    stored: dict[str, Policy] = {}
    try:
        with warehouse.session(url) as session:
            stored = retention.policies(session)
    except (psycopg.Error, DatabaseUnavailable) as error:
        log.warning("how long runs are kept is not known, so the defaults hold: %s", masked(str(error)))
    known = {kind: stored.get(kind) or _default(kind) for kind in ENDINGS}
    return {kind: replace(one, keep_days=set_days[kind] or one.keep_days) for kind, one in known.items()}


def _default(kind: str) -> "Policy":
    from warehouse_pipelines.loading.retention import Policy

    return Policy(
        kind=kind, about="", keep_days=DEFAULTS[kind], last_run=None, last_removed=None, removed=0, problem=None
    )


def ages(url: str) -> Ages:
    """Return how long runs are kept; those that are kept for ever are left out."""
    return {
        status: policy.keep_days
        for kind, policy in policies(url).items()
        if policy.keep_days
        for status in ENDINGS[kind]
    }


def amounts(instance: dg.DagsterInstance, url: str) -> "list[Amount]":
    """Return how many runs of Dagster there are, and how many are due."""
    from warehouse_pipelines.loading.retention import Amount

    now, found = datetime.now(UTC), []
    for kind, policy in policies(url).items():
        statuses = list(ENDINGS[kind])
        cutoff = policy.cutoff(now)
        due = instance.get_runs_count(dg.RunsFilter(statuses=statuses, updated_before=cutoff)) if cutoff else 0
        oldest = instance.get_run_records(dg.RunsFilter(statuses=statuses), limit=1, ascending=True)
        found.append(
            Amount(
                policy=policy,
                rows=instance.get_runs_count(dg.RunsFilter(statuses=statuses)),
                due=due,
                oldest=oldest[0].create_timestamp if oldest else None,
            )
        )
    return found


def prune(instance: dg.DagsterInstance, kept: Ages, now: datetime | None = None) -> dict[str, int]:
    """Delete the runs that ended longer ago than ``kept`` says and that no asset needs; return what was done."""
    now = now or datetime.now(UTC)
    needed = needed_runs(instance)
    deleted = spared = 0
    for status, days in kept.items():
        old = dg.RunsFilter(statuses=[status], updated_before=now - timedelta(days=days))
        for run_id in instance.get_run_ids(old):
            if run_id in needed:
                spared += 1
                continue
            instance.compute_log_manager.delete_logs(prefix=[run_id])
            _delete_check_evaluations(instance, run_id)
            instance.delete_run(run_id)
            _delete_file(instance, run_id)
            deleted += 1
    age = kept.get(dg.DagsterRunStatus.SUCCESS)
    return {
        "runs_deleted": deleted,
        "old_runs_kept_for_their_assets": spared,
        "runs_left": instance.get_runs_count(),
        "events_without_a_run_deleted": _delete_runless(instance, now - timedelta(days=age)) if age else 0,
    }


def needed_runs(instance: dg.DagsterInstance) -> set[str]:
    """Return the runs that hold what the UI shows of an asset, and of the partitions of a backfill job."""
    storage: Any = instance.event_log_storage
    needed: set[str] = set()
    for record in instance.get_asset_records(instance.get_asset_keys()):
        entry = record.asset_entry
        for last in (entry.last_materialization_record, entry.last_observation_record):
            if last is not None:
                needed.add(last.run_id)
    for _, jobs in instance.get_run_tags([PARTITION_SET_TAG]):
        for job in jobs:
            found = instance.run_storage.get_run_partition_data(dg.RunsFilter(tags={PARTITION_SET_TAG: job}))
            needed |= {one.run_id for one in found}
    with storage.index_connection() as connection:
        latest = sa.select(sa.func.max(Checks.c.id)).group_by(Checks.c.asset_key, Checks.c.check_name)
        found = connection.execute(sa.select(Checks.c.run_id).where(Checks.c.id.in_(latest)))
        needed |= {run_id for (run_id,) in found}
    return needed


def _delete_runless(instance: dg.DagsterInstance, before: datetime) -> int:
    """Delete older events that belong to no run, but for the last of each kind of each asset; return how many.

    And older results of checks, but for the last of each check.
    """
    storage: Any = instance.event_log_storage
    deleted = 0
    # SQLite has each event twice, once in the file of its run.
    files = [storage.run_connection, lambda _: storage.index_connection()]
    for connect in files if isinstance(storage, SqliteEventLogStorage) else files[1:]:
        with connect(RUNLESS_RUN_ID) as connection:
            runless = sa.select(Events.c.id).where(Events.c.run_id == RUNLESS_RUN_ID)
            latest = sa.select(sa.func.max(Events.c.id)).where(Events.c.run_id == RUNLESS_RUN_ID)
            latest = latest.group_by(Events.c.asset_key, Events.c.dagster_event_type, Events.c.partition)
            old = runless.where(Events.c.timestamp < before.replace(tzinfo=None), Events.c.id.not_in(latest))
            ids = [event_id for (event_id,) in connection.execute(old)]
            for first in range(0, len(ids), 1000):
                some = ids[first : first + 1000]
                connection.execute(sa.delete(Tags).where(Tags.c.event_id.in_(some)))
                connection.execute(sa.delete(Events).where(Events.c.id.in_(some)))
            deleted = len(ids)
    with storage.index_connection() as connection:
        latest = sa.select(sa.func.max(Checks.c.id)).group_by(Checks.c.asset_key, Checks.c.check_name)
        results = sa.delete(Checks).where(Checks.c.run_id == RUNLESS_RUN_ID, Checks.c.id.not_in(latest))
        connection.execute(results.where(Checks.c.create_timestamp < before.replace(tzinfo=None)))
    return deleted


def _delete_check_evaluations(instance: dg.DagsterInstance, run_id: str) -> None:
    storage: Any = instance.event_log_storage
    with storage.index_connection() as connection:
        connection.execute(sa.delete(Checks).where(Checks.c.run_id == run_id))


def _delete_file(instance: dg.DagsterInstance, run_id: str) -> None:
    storage = instance.event_log_storage
    if isinstance(storage, SqliteEventLogStorage):
        for suffix in ("", "-wal", "-shm", "-journal"):
            Path(storage.path_for_shard(run_id) + suffix).unlink(missing_ok=True)


def jobs(url: Callable[[], str]) -> list[dg.JobDefinition]:
    """Return the job; the warehouse at ``url()`` says how long runs are kept."""

    @dg.op(name=f"{NAME}_op", description=ABOUT)
    def run(context: dg.OpExecutionContext) -> None:
        facts = prune(context.instance, ages(url()))
        context.log_event(dg.AssetMaterialization(["dagster_maintenance", NAME], metadata=facts))
        log.info("deleted %(runs_deleted)d old runs of Dagster, %(runs_left)d are left", facts)

    @dg.job(name=NAME, description=ABOUT, tags={"warehouse/maintenance": "dagster"})
    def job() -> None:
        run()

    return [job]


def schedules() -> Sequence[dg.ScheduleDefinition]:
    """Return its schedule."""
    return [
        dg.ScheduleDefinition(
            name=NAME,
            job_name=NAME,
            cron_schedule="40 3 * * *",
            execution_timezone="UTC",
            default_status=dg.DefaultScheduleStatus.RUNNING,
            description=ABOUT,
        )
    ]

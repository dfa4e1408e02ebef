"""Jobs and schedules, from rows: ``sync_<crm>_<entity>``, ``sync_<crm>_all``, and a schedule per entity.

A schedule's default is *running* as soon as the CRM's settings are there and *stopped* until then; one that somebody
switched on without them skips and says which are missing. A tick also skips while the entity is still being synced,
by its own job or by the CRM's, so that slow runs do not pile up behind the entity's lock.

A job holds assets and the checks that follow them at once; the hourly checks have the job ``check_warehouse``.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import dagster as dg

from warehouse_pipelines.checks import at_once, hourly
from warehouse_pipelines.entity import Entity, Source
from warehouse_pipelines.loading.io_manager import key_of

UNFINISHED = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]

HOUR, DAY, WEEK = 60, 24 * 60, 7 * 24 * 60


def cron(every: timedelta) -> list[str]:
    """Return cron strings, in UTC, that together fire at true intervals of ``every``.

    Cron counts within the hour and the day, so ``*/45`` fires after 45 minutes and then after 15; what divides a day
    is therefore written as the times of a day. Raises ``ValueError`` for what cron cannot express.

    >>> cron(timedelta(minutes=15))
    ['*/15 * * * *']
    >>> cron(timedelta(minutes=90))
    ['0 0,3,6,9,12,15,18,21 * * *', '30 1,4,7,10,13,16,19,22 * * *']
    """
    minutes, rest = divmod(every, timedelta(minutes=1))
    if minutes == WEEK and not rest:
        return ["0 0 * * 0"]
    if rest or minutes < 1 or DAY % minutes:
        raise ValueError(f"a cadence of {every} is no cron schedule; it must divide a day evenly, or be a week")
    if minutes == DAY:
        return ["0 0 * * *"]
    if minutes == HOUR:
        return ["0 * * * *"]
    if HOUR % minutes == 0:
        return [f"*/{minutes} * * * *"]
    if minutes % HOUR == 0:
        return [f"0 */{minutes // HOUR} * * *"]
    hours_by_minute: dict[int, list[str]] = {}
    for at in range(0, DAY, minutes):
        hours_by_minute.setdefault(at % HOUR, []).append(str(at // HOUR))
    return [f"{minute} {','.join(hours)} * * *" for minute, hours in sorted(hours_by_minute.items())]


def job_name(source: Source, entity: Entity | None) -> str:
    """Return the name of the job of an entity, or of the whole CRM."""
    return f"sync_{source.name}_{entity.name if entity else 'all'}"


def jobs(sources: Sequence[Source]) -> list["dg.UnresolvedAssetJobDefinition"]:
    """Return a job per entity, one for its backfills, a job per CRM and the job of the hourly checks."""
    made = [_job(source, [entity], job_name(source, entity)) for source in sources for entity in source.entities]
    made += [_job(source, source.entities, job_name(source, None)) for source in sources]
    backfills = [backfill(source, entity) for source in sources for entity in source.entities]
    return [*made, *filter(None, backfills), *_check_job(sources)]


def _job(source: Source, entities: Sequence[Entity], name: str) -> "dg.UnresolvedAssetJobDefinition":
    one = entities[0] if not name.endswith("_all") else None
    return dg.define_asset_job(
        name,
        selection=_selection(entities),
        description=(
            f"{source.title}: {one.about}" if one else f"Every entity of {source.title}; a parent comes before its own."
        ),
        tags={"warehouse/crm": source.name, "warehouse/sync_type": one.name if one else "all"},
    )


def _selection(entities: Sequence[Entity]) -> dg.AssetSelection:
    """Return the assets of ``entities`` with the checks that follow at once."""
    keys = [key_of(entity) for entity in entities]
    checks = [check for entity in entities for check in at_once(entity)]
    return dg.AssetSelection.assets(*keys).without_checks() | dg.AssetSelection.checks(*checks)


def backfill(source: Source, entity: Entity) -> "dg.UnresolvedAssetJobDefinition | None":
    """Return the job that reads months again, a partition each; None for an entity that cannot be asked by date."""
    if entity.days_since is None:
        return None

    @dg.monthly_partitioned_config(start_date=entity.days_since.replace(day=1).isoformat(), end_offset=1)
    def month(start: datetime, end: datetime) -> dict[str, Any]:
        last = end.date() - timedelta(days=1)
        days = {"start_date": start.date().isoformat(), "end_date": last.isoformat()}
        return {"resources": {"sync": {"config": days}}}

    return dg.define_asset_job(
        f"backfill_{source.name}_{entity.name}",
        selection=_selection([entity]),
        config=month,
        description=(
            f"{source.title} {entity.name} of a month, read again. The cursor of the delta runs stays where it is. "
            "Other days: start_date and end_date in the Launchpad."
        ),
        tags={"warehouse/crm": source.name, "warehouse/sync_type": entity.name},
    )


def _check_job(sources: Sequence[Source]) -> list["dg.UnresolvedAssetJobDefinition"]:
    if not sources:
        return []
    return [
        dg.define_asset_job(
            "check_warehouse",
            selection=dg.AssetSelection.checks(*hourly(entity for source in sources for entity in source.entities)),
            description="References, volumes and the health of runs, of every entity.",
        )
    ]


def schedules(sources: Sequence[Source]) -> list[dg.ScheduleDefinition]:
    """Return a schedule per entity, and the one of the hourly checks."""
    configured = {source.name: not source.missing_settings() for source in sources}
    made = [schedule(source, one, on=configured[source.name]) for source in sources for one in source.entities]
    if not sources:
        return made
    checking = dg.ScheduleDefinition(
        name="check_warehouse_schedule",
        job_name="check_warehouse",
        cron_schedule="20 * * * *",
        default_status=_status(on=any(configured.values())),
        description="The hourly checks.",
    )
    return [*made, checking]


def schedule(source: Source, entity: Entity, *, on: bool) -> dg.ScheduleDefinition:
    """Return the schedule of one entity; ``on`` until somebody switches it in Dagster."""

    def tick(context: dg.ScheduleEvaluationContext) -> dg.SkipReason | dg.RunRequest:
        if missing := source.missing_settings():
            return dg.SkipReason(f"{source.title} is not configured: set {', '.join(missing)}")
        for name in (job_name(source, entity), job_name(source, None)):
            filters = dg.RunsFilter(job_name=name, statuses=UNFINISHED)
            if running := context.instance.get_runs(filters, limit=1):
                return dg.SkipReason(f"{name} is still going (run {running[0].run_id})")
        return dg.RunRequest()

    return dg.ScheduleDefinition(
        name=f"{job_name(source, entity)}_schedule",
        job_name=job_name(source, entity),
        cron_schedule=cron(entity.every),
        execution_timezone="UTC",
        execution_fn=tick,
        default_status=_status(on=on),
        description=f"{source.title} {entity.name}, every {entity.every}.",
    )


def _status(*, on: bool) -> dg.DefaultScheduleStatus:
    return dg.DefaultScheduleStatus.RUNNING if on else dg.DefaultScheduleStatus.STOPPED

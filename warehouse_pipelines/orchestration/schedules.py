"""Jobs and schedules, from rows: ``sync_<crm>_<entity>``, ``sync_<crm>_all``, and a schedule per CRM and cadence.

A tick asks for one run of ``sync_<crm>_all`` with the entities that are due, because each run costs a process and a
second of a processor; for several, which run side by side, only if each has ``WORTH_SECONDS`` to read and the pool of
the CRM has places for them beside its unfinished runs. What is likely to have nothing new is synced within the tick
(``probes``), and needs a run only if that finds something. The CRMs fire at different minutes of the hour, so that few
of them run at once. A tick leaves out what is switched off (``loading.sync_schedule``), what an unfinished run has
still to sync, and what need not be polled yet because its webhooks deliver (``loading.webhook_cadence``); it says so in
its log and in a tag of the run. An entity of which a backfill reads a month has a run of its own, which waits for the
month and not for the whole backfill. A tick that cannot ask the warehouse fails, so that whoever watches ticks hears of
it.

A schedule's default is *running* as soon as some of the CRM's settings are there and *stopped* until then. While one is
missing or cannot be used, it skips and says which; the rule `crm_settings` of alerts tells of that.

A job holds assets and the checks that follow them at once; the hourly checks have the job ``check_warehouse``.
"""

from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta

import dagster as dg

from warehouse_pipelines import warehouse
from warehouse_pipelines.loading import sync_schedule, webhook_cadence
from warehouse_pipelines.loading.run_parts import run_parts
from warehouse_pipelines.model.entity import Entity
from warehouse_pipelines.model.source import Source
from warehouse_pipelines.orchestration import probes
from warehouse_pipelines.orchestration.asset_facts import key_of
from warehouse_pipelines.orchestration.assets import step_key
from warehouse_pipelines.orchestration.backfills import after_the_month
from warehouse_pipelines.orchestration.checks import at_once, hourly, worth_a_run
from warehouse_pipelines.orchestration.run_lock import LAUNCHED
from warehouse_pipelines.orchestration.ticks import told_plainly

UNFINISHED = [dg.DagsterRunStatus.QUEUED, *LAUNCHED]

WORTH_SECONDS = 60.0
"""Reading time, by the last good runs, that each of the runs has if a tick asks for several."""

CHECK_JOB = "check_warehouse"

DAY, WEEK = 24 * 60, 7 * 24 * 60


def cron(every: timedelta, offset: int = 0) -> list[str]:
    """Return cron strings, in UTC, that together fire at true intervals of ``every``, ``offset`` minutes late.

    Cron counts within the hour and the day, so ``*/45`` fires after 45 minutes and then after 15; a cadence is
    therefore written as its times of a day. Raises ``ValueError`` for what cron cannot express.

    >>> cron(timedelta(minutes=15), 4)
    ['4,19,34,49 * * * *']
    >>> cron(timedelta(minutes=90))
    ['0 0,3,6,9,12,15,18,21 * * *', '30 1,4,7,10,13,16,19,22 * * *']
    """
    minutes, rest = divmod(every, timedelta(minutes=1))
    if minutes == WEEK and not rest:
        return [f"{offset % 60} {offset // 60} * * 0"]
    if rest or minutes < 1 or DAY % minutes:
        raise ValueError(f"a cadence of {every} is no cron schedule; it must divide a day evenly, or be a week")
    hours_by_minute: dict[int, list[str]] = {}
    for at in range(offset % minutes, DAY, minutes):
        hours_by_minute.setdefault(at % 60, []).append(str(at // 60))
    minutes_by_hours: dict[str, list[str]] = {}
    for minute, hours in sorted(hours_by_minute.items()):
        minutes_by_hours.setdefault("*" if len(hours) == 24 else ",".join(hours), []).append(str(minute))
    return [f"{','.join(at)} {hours} * * *" for hours, at in minutes_by_hours.items()]


def job_name(source: Source, entity: Entity | None) -> str:
    """Return the name of the job of an entity, or of the whole CRM."""
    return f"sync_{source.name}_{entity.name if entity else 'all'}"


def jobs(sources: Sequence[Source]) -> list["dg.UnresolvedAssetJobDefinition"]:
    """Return a job per entity, a job per CRM and the job of the hourly checks."""
    made = [sync_job(source, entity) for source in sources for entity in source.entities]
    return [*made, *(sync_job(source, None) for source in sources), *_check_job(sources)]


def whole(
    made: Sequence["dg.UnresolvedAssetJobDefinition"], sources: Sequence[Source]
) -> list["dg.UnresolvedAssetJobDefinition"]:
    """Return those of the ``made`` jobs that are of a whole CRM."""
    names = {job_name(source, None) for source in sources}
    return [job for job in made if job.name in names]


def sync_job(source: Source, entity: Entity | None) -> "dg.UnresolvedAssetJobDefinition":
    """Return the job of an entity, or of the whole CRM."""
    turn = after_the_month(source, entity) if entity and entity.cadence.backfill_since else {}
    return dg.define_asset_job(
        job_name(source, entity),
        selection=_selection([entity] if entity else source.entities),
        description=(
            f"{source.title}: {entity.about}"
            if entity
            else f"Every entity of {source.title}; a parent comes before its own."
        ),
        tags={"warehouse/crm": source.name, "warehouse/sync_type": entity.name if entity else "all", **turn},
    )


def _selection(entities: Sequence[Entity]) -> dg.AssetSelection:
    """Return the assets of ``entities`` with the checks that follow at once."""
    keys = [key_of(entity.table) for entity in entities]
    checks = [check for entity in entities for check in at_once(entity)]
    return dg.AssetSelection.assets(*keys).without_checks() | dg.AssetSelection.checks(*checks)


def _check_job(sources: Sequence[Source]) -> list["dg.UnresolvedAssetJobDefinition"]:
    if not sources:
        return []
    return [
        dg.define_asset_job(
            CHECK_JOB,
            selection=dg.AssetSelection.checks(*hourly(entity for source in sources for entity in source.entities)),
            description="References, volumes and the health of runs, of every entity.",
        )
    ]


def schedules(sources: Sequence[Source], url: Callable[[], str]) -> list[dg.ScheduleDefinition]:
    """Return a schedule per CRM and cadence, and the one of the hourly checks."""
    made = []
    for place, source in enumerate(sources):
        by_cadence: dict[timedelta, list[Entity]] = {}
        for entity in source.entities:
            by_cadence.setdefault(entity.cadence.every, []).append(entity)
        offset = 60 * place // len(sources)
        made += [schedule(source, entities, url, offset) for entities in by_cadence.values()]
    return [*made, _check_schedule(sources, url)] if sources else made


def _check_schedule(sources: Sequence[Source], url: Callable[[], str]) -> dg.ScheduleDefinition:
    def tick(context: dg.ScheduleEvaluationContext) -> dg.SkipReason | dg.RunRequest:
        if context.instance.get_runs(dg.RunsFilter(job_name=CHECK_JOB, statuses=UNFINISHED), limit=1):
            return dg.SkipReason(f"{CHECK_JOB} is at it")
        with told_plainly(), warehouse.session(url()) as session:
            worth = worth_a_run(session, context.instance, sources, url())
        return dg.RunRequest(asset_check_keys=worth) if worth else dg.SkipReason("every check is as good as it was")

    return dg.ScheduleDefinition(
        name="check_warehouse_schedule",
        job_name=CHECK_JOB,
        cron_schedule="20 * * * *",
        execution_fn=tick,
        default_status=_status(on=any(not source.missing_settings() for source in sources)),
        description="The hourly checks.",
    )


def schedule(
    source: Source, entities: Sequence[Entity], url: Callable[[], str], offset: int = 0
) -> dg.ScheduleDefinition:
    """Return the schedule of those entities of a CRM that have one cadence; they fire ``offset`` minutes late.

    Raises ``ValueError`` for a cadence that cron cannot express.
    """
    every = entities[0].cadence.every

    def tick(context: dg.ScheduleEvaluationContext) -> Iterator[dg.SkipReason | dg.RunRequest]:
        if problem := source.settings_problem():
            yield dg.SkipReason(problem)
            return
        with told_plainly(), warehouse.session(url()) as connection:
            paces = webhook_cadence.slower(connection, source, entities)
            left_out = {pace.entity: pace.reason for pace in paces if not pace.is_due}
            left_out |= dict.fromkeys(sync_schedule.switched_off(connection, source), "switched off")
            going = being_synced(context.instance, source)
            left_out |= going
            months = being_synced(context.instance, source, backfills=True)
            due = [entity for entity in entities if entity.name not in left_out]
            if due:
                sync_schedule.note(connection, source, due, context.scheduled_execution_time)
            # A run of the CRM that is unfinished may need the vendor's whole pool.
            probed = (
                probes.probe(context.instance, connection, source, due, url()) if due and not (going or months) else []
            )
            left_out |= {entity.name: "nothing is new" for entity in probed}
            waiting = [entity for entity in due if entity.name in months]
            due = [entity for entity in due if entity.name not in {*left_out, *months}]
            # More runs than the pool has places would wait for one of them, each as a started run.
            most = max(1, source.pool - len({*going.values(), *months.values()}))
            parts = run_parts(connection, source, due, most, WORTH_SECONDS) if due else []
        reasons = "; ".join(f"{entity.name}: {left_out[entity.name]}" for entity in entities if entity.name in left_out)
        if not due and not waiting:
            yield dg.SkipReason(f"no run is needed: {reasons}")
            return
        if reasons:
            context.log.info("left out: %s", reasons)
        for part in [*parts, *([entity] for entity in waiting)]:
            turn = after_the_month(source, part[0]) if part[0] in waiting else {}
            yield dg.RunRequest(
                # Without a key, Dagster takes another run of this tick for this one, also when it resumes the tick.
                run_key=" ".join(entity.name for entity in part),
                asset_selection=[key_of(entity.table) for entity in part],
                asset_check_keys=[check for entity in part for check in at_once(entity)],
                tags={**turn, **({"warehouse/left_out": reasons} if reasons else {})},
            )

    return dg.ScheduleDefinition(
        name=sync_schedule.dagster_name(source, every),
        job_name=job_name(source, None),
        cron_schedule=cron(every, offset),
        execution_timezone="UTC",
        execution_fn=tick,
        default_status=_status(on=not source.missing_settings() or source.has_own_settings()),
        description=f"{source.title}, every {every}: {', '.join(entity.name for entity in entities)}.",
    )


def being_synced(instance: dg.DagsterInstance, source: Source, *, backfills: bool = False) -> dict[str, str]:
    """Return the names of the entities that an unfinished run still has to sync, with which run it is.

    What such a run has done already does not count: a long read of one entity keeps no other waiting. Months of
    ``backfills`` are asked for apart, and those that are queued do not count: they may wait for hours.
    """
    names = {key_of(entity.table): entity.name for entity in source.entities}
    steps = {entity.name: step_key(entity) for entity in source.entities}
    busy: dict[str, str] = {}
    for run in instance.get_runs(dg.RunsFilter(statuses=UNFINISHED)):
        of_backfill = run.job_name.startswith("backfill_")
        if of_backfill != backfills or (of_backfill and run.status == dg.DagsterRunStatus.QUEUED):
            continue
        if run.asset_selection is not None:
            meant = {names[key] for key in run.asset_selection if key in names}
        elif run.tags.get("warehouse/crm") == source.name:
            meant = {name for name in steps if run.tags.get("warehouse/sync_type") in ("all", name)}
        else:
            continue
        if meant and run.status in (dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING):
            ended = {step.step_key for step in instance.get_run_step_stats(run.run_id) if step.end_time}
            meant = {name for name in meant if steps[name] not in ended}
        busy |= dict.fromkeys(meant, f"{run.job_name} is still going (run {run.run_id})")
    return busy


def _status(*, on: bool) -> dg.DefaultScheduleStatus:
    return dg.DefaultScheduleStatus.RUNNING if on else dg.DefaultScheduleStatus.STOPPED

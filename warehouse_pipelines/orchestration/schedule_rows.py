"""The sensor ``schedule_rows``: asks for what ``orchestration.sync_schedule`` says, and mirrors Dagster there.

The declared deltas have schedules of Dagster's own; of these the sensor only writes whether they are on and when they
tick next. Every other row, a declared ``full`` or ``force7`` or one that somebody added, is asked for here when its
time comes: a schedule of Dagster's for each would fill its list with hundreds that are off.

A run is asked for under a key of the row and its time until Dagster knows it, and only then the row moves on, so a
daemon that is killed in between neither loses a run nor starts two. Of times that went by while nothing ran, one is
made up for. A row whose entity is being synced waits for the end of that.

A crontab is read in the time zone of the business. A row that cannot be run says why in ``problem``. A look that cannot
ask the warehouse is a failed tick.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import dagster as dg
from dagster._core.definitions.run_request import InstigatorType
from dagster._utils.schedules import is_valid_cron_string, schedule_execution_time_iterator

from warehouse_pipelines import settings, warehouse
from warehouse_pipelines.loading import sync_schedule
from warehouse_pipelines.model.entity import Entity
from warehouse_pipelines.model.source import Source
from warehouse_pipelines.orchestration.asset_facts import key_of
from warehouse_pipelines.orchestration.checks import at_once
from warehouse_pipelines.orchestration.dagster_facts import is_on, states_by_name
from warehouse_pipelines.orchestration.schedules import being_synced, job_name
from warehouse_pipelines.orchestration.ticks import told_plainly

if TYPE_CHECKING:
    from warehouse_pipelines.warehouse import Session

NAME = "schedule_rows"
LOOK_SECONDS = 60
"""A schedule ticks by the minute, too."""

ROW_TAG = "warehouse/schedule_row"
"""Tag of a run: which row asked for it, and for which time."""

Row = Mapping[str, Any]


def sensors(
    sources: Sequence[Source],
    schedules: Sequence[dg.ScheduleDefinition],
    jobs: Sequence[Any],
    url: Callable[[], str],
) -> list[dg.SensorDefinition]:
    """Return the sensor. ``jobs`` are those of whole CRMs, by which it asks for runs."""
    if not sources:
        return []

    @dg.sensor(
        name=NAME, jobs=jobs, minimum_interval_seconds=LOOK_SECONDS, default_status=dg.DefaultSensorStatus.RUNNING
    )
    def schedule_rows(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        """Ask for the syncs of sync_schedule that are due, and write there what Dagster knows of its schedules."""
        with told_plainly(), warehouse.session(url()) as session:
            return look(context.instance, session, sources, schedules, datetime.now(UTC))

    return [schedule_rows]


def look(
    instance: dg.DagsterInstance,
    session: "Session",
    sources: Sequence[Source],
    schedules: Sequence[dg.ScheduleDefinition],
    now: datetime,
) -> dg.SensorResult | dg.SkipReason:
    """Mirror Dagster's schedules, and return the runs that are due at this time."""
    states = list(_mirrored(instance, session, sources, schedules, now))
    requests, remarks = [], []
    for row in sync_schedule.other_rows(session):
        state, request, remark = _look_at(instance, row, sources, now)
        states.append({"id": row["id"], "dagster_status": "running", **state})
        requests += [request] if request else []
        remarks += [remark] if remark else []
    sync_schedule.write_state(session, states)
    if requests:
        return dg.SensorResult(run_requests=requests)
    return dg.SkipReason("; ".join(remarks) or "nothing is due")


def _mirrored(
    instance: dg.DagsterInstance,
    session: "Session",
    sources: Sequence[Source],
    schedules: Sequence[dg.ScheduleDefinition],
    now: datetime,
) -> Iterator[dict[str, Any]]:
    """Yield what Dagster knows of the declared deltas."""
    by_name = {schedule.name: schedule for schedule in schedules}
    states = states_by_name(instance, InstigatorType.SCHEDULE)
    stopped = {name for name, one in by_name.items() if not is_on(one, states.get(name))}
    problems = {source.name: source.settings_problem() for source in sources}
    ticks: dict[str, datetime] = {}
    for (crm, _), row in sync_schedule.rows(session).items():
        name = row["dagster_schedule_name"]
        if crm not in problems or name not in by_name:
            continue
        on = name not in stopped and row["enabled"] and not problems[crm]
        if on and name not in ticks:
            schedule = by_name[name]
            ticks[name] = next(
                schedule_execution_time_iterator(now.timestamp(), schedule.cron_schedule, schedule.execution_timezone)
            )
        yield {
            "id": row["id"],
            "next_run": ticks[name].astimezone(UTC) if on else None,
            "dagster_status": "stopped" if name in stopped else "running",
            "problem": problems[crm],
        }


def _look_at(
    instance: dg.DagsterInstance, row: Row, sources: Sequence[Source], now: datetime
) -> tuple[dict[str, Any], dg.RunRequest | None, str]:
    """Return the new state of a row, the run that is due, and a remark for the log of the tick."""
    source = next((one for one in sources if one.name == row["crm_source"]), None)
    entity = next((one for one in source.entities if one.name == row["model_name"]), None) if source else None
    problem = _problem(row, source, entity, now)
    if problem or not row["enabled"] or source is None or entity is None:
        return {"next_run": None, "problem": problem}, None, ""
    due = row["next_run"] or first(row, now)
    state = {"next_run": due, "last_run": None, "problem": None}
    if due <= now and instance.get_runs(dg.RunsFilter(tags={ROW_TAG: _key(row, due)}), limit=1):
        # What came since the look that asked for this run is due now; what came before, the run made up for.
        following = after(row, due, max(due, now - timedelta(seconds=LOOK_SECONDS)))
        state |= {"next_run": following, "last_run": due}
        due = following
    if due > now:
        return state, None, ""
    if busy := being_synced(instance, source).get(entity.name):
        return state, None, f"{row['name']}: {busy}"
    key = _key(row, due)
    options = sync_schedule.run_options(row["mode"], now.date())
    request = dg.RunRequest(
        run_key=key,
        job_name=job_name(source, None),
        asset_selection=[key_of(entity.table)],
        asset_check_keys=at_once(entity),
        run_config={"resources": {"sync": {"config": options}}} if options else None,
        tags={ROW_TAG: key, "warehouse/schedule": row["name"]},
    )
    return state, request, ""


def _key(row: Row, due: datetime) -> str:
    return f"{row['id']} {due.astimezone(UTC).isoformat()}"


def _problem(row: Row, source: Source | None, entity: Entity | None, now: datetime) -> str | None:
    if source is None:
        return f"there is no CRM {row['crm_source']}"
    if entity is None:
        return f"{source.name} has no entity {row['model_name']}"
    if row["recurrence_type"] == "crontab" and not is_valid_cron_string(sync_schedule.crontab(row)):
        return f"{sync_schedule.crontab(row)!r} is no crontab"
    if row["enabled"]:
        try:
            after(row, first(row, now), now)
        except (ValueError, OverflowError):  # or this row would keep all others from being asked for
            return "there is no time at which it would be asked for"
    return source.settings_problem()


def interval(row: Row) -> timedelta:
    """Return the interval of a row."""
    return dict(sync_schedule.UNITS)[row["period"]] * int(row["every"])


def first(row: Row, now: datetime) -> datetime:
    """Return the first time of a row that is on and has none: at once, or the next one of its crontab."""
    if row["recurrence_type"] == "crontab":
        return _tick(row, now)
    return max(row["last_run"] + interval(row), now) if row["last_run"] else now


def after(row: Row, due: datetime, now: datetime) -> datetime:
    """Return the next time after this one that is still to come."""
    if row["recurrence_type"] == "crontab":
        return _tick(row, now)
    every = interval(row)
    return due + every * ((now - due) // every + 1)


def _tick(row: Row, now: datetime) -> datetime:
    zone = str(settings.settings().warehouse_time_zone)
    ticks = schedule_execution_time_iterator(now.timestamp(), sync_schedule.crontab(row), zone)
    return next(tick for tick in ticks if tick > now).astimezone(UTC)

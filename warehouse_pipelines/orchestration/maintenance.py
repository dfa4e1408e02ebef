"""Jobs that keep a schema healthy, each with a schedule of the same name: a row ``Task`` for each.

``crm_maintenance``, ``identity_maintenance``, ``pipedesk_maintenance`` and ``retention`` have the rows.

A job has one step. What it found or did is the metadata of a materialization of ``<schema>_maintenance/<name>``, so
that Dagster draws its numbers over time. What needs a person is also a warning in the log; what is broken fails the
run. Metadata hold ids and counts, and nothing that names a person.

What needs a person goes to the channels of alerts as well, once a day, and so does every report of a task that is
``told``: one that nobody opens a run for. A channel that does not take it stops no job.

A schedule is on by default, and skips while the schema is not there.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import dagster as dg

from warehouse_pipelines import warehouse
from warehouse_pipelines.errors import masked
from warehouse_pipelines.orchestration.failures import session_of_step
from warehouse_pipelines.orchestration.ticks import told_plainly

if TYPE_CHECKING:
    from warehouse_pipelines.warehouse import Session

TABLE_ROWS = 50
"""At most so many rows of a kind are in a table of the UI; counts are of all."""

MESSAGE_ROWS = 10
"""At most so many rows of a kind are in a message."""

Row = dict[str, Any]


@dataclass
class Report:
    """What a task found: numbers and lists, what a person should look at, what is broken."""

    facts: Row = field(default_factory=dict)
    lists: dict[str, Sequence[Mapping[str, Any]]] = field(default_factory=dict)
    attention: str = ""
    broken: str = ""

    def text(self) -> str:
        """Return it as a message has it: what needs a person, the numbers, and the first rows of each list."""
        lines = [line for line in (self.broken, self.attention) if line]
        lines += [f"{name.replace('_', ' ')}: {value}" for name, value in self.facts.items()]
        for name, rows in self.lists.items():
            lines += [f"{name.replace('_', ' ')}: {len(rows)}"]
            first = rows[:MESSAGE_ROWS]
            lines += ["  " + ", ".join(f"{key} {_shown(value)}" for key, value in row.items()) for row in first]
        return "\n".join(lines)

    def metadata(self) -> dict[str, Any]:
        """Return it as Dagster shows it."""
        shown: dict[str, Any] = {**self.facts, "attention": self.attention or "none"}
        for name, rows in self.lists.items():
            first = rows[:TABLE_ROWS]
            records = [dg.TableRecord({key: _shown(value) for key, value in row.items()}) for row in first]
            shown[name] = dg.MetadataValue.table(records) if records else dg.MetadataValue.text("none")
        return shown


def _shown(value: Any) -> str | int | float | bool:
    return value if isinstance(value, str | int | float | bool) else "" if value is None else str(value)


@dataclass(frozen=True)
class Task:
    """A job, its schedule and what it does, in a session that commits by itself.

    ``told`` sends its report to the channels of alerts even if nothing in it needs a person.
    """

    name: str
    cron: str
    run: "Callable[[Session], Report]"
    told: bool = False

    @property
    def about(self) -> str:
        """The first line of what it does, for the UI."""
        return (self.run.__doc__ or "").strip().partition("\n")[0]


def jobs(tasks: Mapping[str, Sequence[Task]], url: Callable[[], str]) -> list[dg.JobDefinition]:
    """Return a job for each of a schema's tasks, on the warehouse at ``url()``."""
    return [_job(schema, task, url) for schema, of_it in tasks.items() for task in of_it]


def _job(schema: str, task: Task, url: Callable[[], str]) -> dg.JobDefinition:
    # A retry is for a lock that was not free or a server that was away; none of the tasks leaves half of its work.
    @dg.op(name=f"{task.name}_op", description=task.about, retry_policy=dg.RetryPolicy(max_retries=3, delay=60))
    def run(context: dg.OpExecutionContext) -> None:
        with session_of_step(url()) as session:
            report = task.run(session)
        key = [f"{schema}_maintenance", task.name]
        context.log_event(dg.AssetMaterialization(key, description=task.about, metadata=report.metadata()))
        _tell(task, report, url(), context.log)
        if report.attention:
            context.log.warning(f"{task.name}: {report.attention}")
        if report.broken:
            raise dg.Failure(f"{task.name}: {report.broken}", metadata=report.metadata(), allow_retries=False)

    @dg.job(name=task.name, description=task.about, tags={"warehouse/maintenance": schema})
    def job() -> None:
        run()

    return job


def _tell(task: Task, report: Report, url: str, log: dg.DagsterLogManager) -> None:
    """Send a report to the channels of alerts, if anybody should read it."""
    if not (task.told or report.attention or report.broken):
        return
    from warehouse_pipelines.observability.alerts import program

    severity = "critical" if report.broken else "warning" if report.attention else "info"
    now = datetime.now(UTC)
    try:
        program.send_text(
            url, f"{task.name} {now:%Y-%m-%d}", f"[{severity}] {task.name}: {task.about}", report.text(),
            severity=severity, now=now,
        )  # fmt: skip
    except Exception as error:
        log.warning(f"{task.name}: the report could not be sent: {type(error).__name__}: {masked(str(error))}")


def schedules(tasks: Mapping[str, Sequence[Task]], url: Callable[[], str]) -> list[dg.ScheduleDefinition]:
    """Return the schedule of each task."""
    return [_schedule(schema, task, url) for schema, of_it in tasks.items() for task in of_it]


def _schedule(schema: str, task: Task, url: Callable[[], str]) -> dg.ScheduleDefinition:
    def tick(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        with told_plainly(), warehouse.session(url()) as session:
            is_there = warehouse.value(session, "SELECT to_regnamespace(%s) IS NOT NULL", [schema])
        if not is_there:
            return dg.SkipReason(f"there is no schema {schema}; run `warehouse migrate`")
        return dg.RunRequest()

    return dg.ScheduleDefinition(
        name=task.name,
        job_name=task.name,
        cron_schedule=task.cron,
        execution_timezone="UTC",
        execution_fn=tick,
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description=task.about,
    )

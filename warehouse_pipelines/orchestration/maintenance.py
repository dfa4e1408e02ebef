"""Jobs that keep a schema healthy, each with a schedule of the same name: a row ``Task`` for each.

A job has one step. What it found or did is the metadata of a materialization of ``<schema>_maintenance/<name>``, so
that Dagster draws its numbers over time. What needs a person is also a warning in the log; what is broken fails the
run. Metadata hold ids and counts, and nothing that names a person.

A schedule is on by default, and skips while the schema is not there.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import dagster as dg

from warehouse_pipelines import warehouse
from warehouse_pipelines.errors import masked
from warehouse_pipelines.orchestration.io_manager import session_of_step

if TYPE_CHECKING:
    from warehouse_pipelines.warehouse import Session

LISTED = 50
"""At most so many rows of a kind are listed; counts are of all."""

Row = dict[str, Any]


@dataclass
class Report:
    """What a task found: numbers and lists, what a person should look at, what is broken."""

    facts: Row = field(default_factory=dict)
    lists: dict[str, Sequence[Mapping[str, Any]]] = field(default_factory=dict)
    attention: str = ""
    broken: str = ""

    def metadata(self) -> dict[str, Any]:
        """Return it as Dagster shows it."""
        shown: dict[str, Any] = {**self.facts, "attention": self.attention or "none"}
        for name, rows in self.lists.items():
            records = [dg.TableRecord({key: _shown(value) for key, value in row.items()}) for row in rows[:LISTED]]
            shown[name] = dg.MetadataValue.table(records) if records else dg.MetadataValue.text("none")
        return shown


def _shown(value: Any) -> str | int | float | bool:
    return value if isinstance(value, str | int | float | bool) else "" if value is None else str(value)


@dataclass(frozen=True)
class Task:
    """A job, its schedule and what it does, in a session that commits by itself."""

    name: str
    cron: str
    run: "Callable[[Session], Report]"

    @property
    def about(self) -> str:
        return (self.run.__doc__ or "").strip().partition("\n")[0]


def jobs(schema: str, tasks: Sequence[Task], url: Callable[[], str]) -> list[dg.JobDefinition]:
    """Return a job for each task, on the warehouse at ``url()``."""
    return [_job(schema, task, url) for task in tasks]


def _job(schema: str, task: Task, url: Callable[[], str]) -> dg.JobDefinition:
    # A retry is for a lock that was not free or a server that was away; none of the tasks leaves half of its work.
    @dg.op(name=f"{task.name}_op", description=task.about, retry_policy=dg.RetryPolicy(max_retries=3, delay=60))
    def run(context: dg.OpExecutionContext) -> None:
        with session_of_step(url()) as session:
            report = task.run(session)
        key = [f"{schema}_maintenance", task.name]
        context.log_event(dg.AssetMaterialization(key, description=task.about, metadata=report.metadata()))
        if report.attention:
            context.log.warning(f"{task.name}: {report.attention}")
        if report.broken:
            raise dg.Failure(f"{task.name}: {report.broken}", metadata=report.metadata(), allow_retries=False)

    @dg.job(name=task.name, description=task.about, tags={"warehouse/maintenance": schema})
    def job() -> None:
        run()

    return job


def schedules(schema: str, tasks: Sequence[Task], url: Callable[[], str]) -> list[dg.ScheduleDefinition]:
    """Return the schedule of each task."""
    return [_schedule(schema, task, url) for task in tasks]


def _schedule(schema: str, task: Task, url: Callable[[], str]) -> dg.ScheduleDefinition:
    def tick(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        try:
            with warehouse.session(url()) as session:
                found = session.execute("SELECT to_regnamespace(%s) IS NOT NULL AS there", [schema]).fetchone()
        except Exception as error:
            return dg.SkipReason(f"{type(error).__name__}: {masked(str(error))}")
        if not (found and found["there"]):
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

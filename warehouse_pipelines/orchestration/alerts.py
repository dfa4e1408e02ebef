"""Alerts in Dagster: the sensor ``alerts``, which evaluates all rules every minute, and the morning report.

What is wrong is decided by rows and SELECTs (``observability.alerts``); what only Dagster knows is asked by
``dagster_facts``. The sensor writes a heartbeat after each evaluation, and asks for ``WAREHOUSE_HEARTBEAT_URL``: a
sensor that is dead cannot say so. `warehouse serve` watches the first, a service outside the second.

An evaluation that cannot be made is a failed tick and not a skip, so Dagster's UI shows it, and no heartbeat follows.

The report is a job with a schedule at seven in the zone of the business. It is written once a day for each channel,
however often the job is run.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import dagster as dg

from warehouse_pipelines import settings
from warehouse_pipelines.errors import NotConfigured
from warehouse_pipelines.model.source import Source
from warehouse_pipelines.orchestration.ticks import told_plainly

NAME = "alerts"
EVERY_SECONDS = 60
REPORT = "morning_report"


def sensors(sources: Sequence[Source], url: Callable[[], str]) -> list[dg.SensorDefinition]:
    """Return the sensor."""

    @dg.sensor(name=NAME, minimum_interval_seconds=EVERY_SECONDS, default_status=dg.DefaultSensorStatus.RUNNING)
    def alerts(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        """Evaluate the rules of alerts, and send what is due."""
        from warehouse_pipelines.observability.alerts import program
        from warehouse_pipelines.orchestration.dagster_facts import DagsterFacts

        repository = context.repository_def
        now, where = datetime.now(UTC), url()
        with told_plainly():
            collectors = {}
            if repository is not None:
                crms = program.circumstances(where, sources, now).crms
                collectors = dict(DagsterFacts(context.instance, repository, where, crms, now).collectors())
            found, sent, wrong = program.run(where, sources, collectors=collectors)
            for sentence in wrong:
                context.log.warning(sentence)
            if found is None:
                return dg.SkipReason("another process evaluates")
            program.write_heartbeat(where, NAME)
            if trouble := program.ask_for_heartbeat_url():
                context.log.warning(trouble)
        told = ", ".join(f"{one.rule.name} {one.kind} ({one.incident.id})" for one in found.changes) or "nothing new"
        failed = f"; could not be asked: {', '.join(found.failed)}" if found.failed else ""
        return dg.SkipReason(f"{found.asked} rules: {told}; sent {sum(sent.values())}{failed}")

    return [alerts]


def jobs(sources: Sequence[Source], url: Callable[[], str]) -> list[dg.JobDefinition]:
    """Return the job of the report."""

    @dg.op(name=f"{REPORT}_op", description="Write the report of the last day, and send it.")
    def run(context: dg.OpExecutionContext) -> None:
        from warehouse_pipelines.observability.alerts import program

        report, sent = program.send_report(url(), sources)
        text = report.text()
        context.log_event(
            dg.AssetMaterialization(
                ["orchestration", REPORT],
                description="Is last night right?",
                metadata={"report": dg.MetadataValue.md(f"```\n{text}\n```"), "right": report.right, "sent": sent},
            )
        )

    @dg.job(name=REPORT, description="The report of the last day, as one message.")
    def job() -> None:
        run()

    return [job]


def schedules() -> list[dg.ScheduleDefinition]:
    """Return the schedule of the report."""
    return [
        dg.ScheduleDefinition(
            name=f"{REPORT}_schedule",
            job_name=REPORT,
            cron_schedule="0 7 * * *",
            execution_timezone=_zone(),
            default_status=dg.DefaultScheduleStatus.RUNNING,
            description="The report of the last day, at seven in the zone of the business.",
        )
    ]


def _zone() -> str:
    try:
        return str(settings.settings().warehouse_time_zone)
    except NotConfigured:  # said by whatever needs the setting; the definitions must load all the same
        return str(settings.Settings.model_fields["warehouse_time_zone"].default)

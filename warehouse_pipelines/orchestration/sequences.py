"""Sequences in Dagster: the job ``run_sequences`` and its schedule, which is off until somebody turns it on: it sends.

A run works on what is due and ends. Runs beside each other, and beside ``warehouse sequences run``, share the work.
What a person should know, such as a step that is parked, is a warning in the log and in the metadata.
"""

from collections.abc import Callable

import dagster as dg

JOB = "run_sequences"
CRON = "*/10 * * * *"
ABOUT = "Enroll the leads of segments in sequences, and send the messages that are due."


def jobs(url: Callable[[], str]) -> list[dg.JobDefinition]:
    """Return the job, on the warehouse at ``url()``."""

    @dg.op(name=f"{JOB}_op", description=ABOUT)
    def run(context: dg.OpExecutionContext) -> None:
        from warehouse_pipelines.orchestration.failures import failures
        from warehouse_pipelines.sequences import run, settings

        with failures(context):
            result = run.run(url(), settings.read())
        for problem in result.problems:
            context.log.warning(problem)
        facts = {
            outcome.replace(" ", "_").replace(":", ""): number for outcome, number in result.counts.items() if number
        }
        problems = dg.MetadataValue.md("\n".join(f"- {problem}" for problem in result.problems) or "none")
        context.log_event(
            dg.AssetMaterialization(["crm", JOB], description=ABOUT, metadata={**facts, "problems": problems})
        )

    @dg.job(name=JOB, description=ABOUT)
    def job() -> None:
        run()

    return [job]


def schedules() -> list[dg.ScheduleDefinition]:
    """Return the schedule."""
    return [
        dg.ScheduleDefinition(
            name=f"{JOB}_schedule",
            job_name=JOB,
            cron_schedule=CRON,
            execution_timezone="UTC",
            default_status=dg.DefaultScheduleStatus.STOPPED,
            description=ABOUT,
        )
    ]

"""Sensors that close what a killed process left open in ``orchestration.sync_history``.

A run that ends in Python closes its own row. Three things do not: a killed step, whose run fails (``close_failed``);
a killed run that was cancelled; a lost machine, of which Dagster hears nothing for hours (both ``close_stale_runs``). A
row that is ``running`` while its advisory lock is free belongs to a dead process; Dagster says which of these somebody
had cancelled. Runs that Dagster believes started are closed with it, as ``run_lock`` says.

They run by default, once a minute each: a tick costs a tenth of a short run, and comes each minute even if there is
nothing to close. While the database is away their ticks fail; what the first misses, the second finds.
"""

from collections.abc import Callable

import dagster as dg

from warehouse_pipelines.orchestration.ticks import told_plainly

EVERY_SECONDS = 60


def sensors(url: Callable[[], str]) -> list[dg.SensorDefinition]:
    """Return the sensors of the warehouse at ``url()``."""

    @dg.run_failure_sensor(
        name="close_failed", minimum_interval_seconds=EVERY_SECONDS, default_status=dg.DefaultSensorStatus.RUNNING
    )
    def close_failed(context: dg.RunFailureSensorContext) -> dg.SkipReason:
        """Close the history rows of a run that failed."""
        from warehouse_pipelines.loading import sync_history

        run_id, message = context.dagster_run.run_id, context.failure_event.message or "the run failed"
        with told_plainly():
            closed = sync_history.close_run(url(), run_id, message)
        return dg.SkipReason(f"closed {closed} rows of run {run_id}")

    @dg.sensor(
        name="close_stale_runs", minimum_interval_seconds=EVERY_SECONDS, default_status=dg.DefaultSensorStatus.RUNNING
    )
    def close_stale_runs(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        """Close the history rows and the runs whose process is dead, and free their slots."""
        from warehouse_pipelines.loading import sync_history
        from warehouse_pipelines.orchestration import run_lock

        with told_plainly():
            close_cancelled(context.instance, url())
            rows = sync_history.close_stale_runs(url())
            runs = run_lock.close_dead_runs(context.instance, url())
        if not rows and not runs:
            return dg.SkipReason("nothing was left open")
        return dg.SkipReason(f"closed {', '.join(map(str, rows)) or 'no row'}; runs: {', '.join(runs) or 'none'}")

    return [close_failed, close_stale_runs]


def close_cancelled(instance: dg.DagsterInstance, url: str) -> None:
    """Close the history rows of runs that were cancelled. Raises ``DatabaseUnavailable``."""
    from warehouse_pipelines.loading import sync_history

    if running := sync_history.running_in(url):
        cancelled = dg.RunsFilter(run_ids=running, statuses=[dg.DagsterRunStatus.CANCELED])
        for run in instance.get_runs(cancelled):
            sync_history.close_run(url, run.run_id, "cancelled", sync_history.CANCELLED)

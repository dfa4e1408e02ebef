"""Sensors that close what a killed process left open in ``orchestration.sync_history``.

A run that ends in Python closes its own row. Three things do not: a killed step, whose run fails (``close_failed``);
a killed run that was cancelled (``close_cancelled``); a lost machine, of which Dagster hears nothing for hours
(``close_stale_runs``). A row that is ``running`` while its advisory lock is free belongs to a dead process; the last
sensor asks PostgreSQL every minute. Runs that Dagster believes started are closed with it, as ``run_lock`` says.

They run by default. While the database is away their ticks fail; what the first two miss, the last finds.
"""

from collections.abc import Callable

import dagster as dg

from warehouse_pipelines.orchestration.ticks import told_plainly

STALE_SECONDS = 60


def sensors(url: Callable[[], str]) -> list[dg.SensorDefinition]:
    """Return the sensors of the warehouse at ``url()``."""

    @dg.run_failure_sensor(name="close_failed", default_status=dg.DefaultSensorStatus.RUNNING)
    def close_failed(context: dg.RunFailureSensorContext) -> dg.SkipReason:
        """Close the history rows of a run that failed."""
        return _close(url, context.dagster_run.run_id, context.failure_event.message or "the run failed")

    @dg.run_status_sensor(
        name="close_cancelled",
        run_status=dg.DagsterRunStatus.CANCELED,
        default_status=dg.DefaultSensorStatus.RUNNING,
    )
    def close_cancelled(context: dg.RunStatusSensorContext) -> dg.SkipReason:
        """Close the history rows of a run that was cancelled."""
        return _close(url, context.dagster_run.run_id, "cancelled", "cancelled")

    @dg.sensor(
        name="close_stale_runs", minimum_interval_seconds=STALE_SECONDS, default_status=dg.DefaultSensorStatus.RUNNING
    )
    def close_stale_runs(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        """Close the history rows and the runs whose process is dead, and free their slots."""
        from warehouse_pipelines.loading import sync_history
        from warehouse_pipelines.orchestration import run_lock

        with told_plainly():
            rows = sync_history.close_stale_runs(url())
            runs = run_lock.close_dead_runs(context.instance, url())
        if not rows and not runs:
            return dg.SkipReason("nothing was left open")
        return dg.SkipReason(f"closed {', '.join(map(str, rows)) or 'no row'}; runs: {', '.join(runs) or 'none'}")

    return [close_failed, close_cancelled, close_stale_runs]


def _close(url: Callable[[], str], run_id: str, message: str, status: str = "failed") -> dg.SkipReason:
    from warehouse_pipelines.loading import sync_history

    with told_plainly():
        closed = sync_history.close_run(url(), run_id, message, status)
    return dg.SkipReason(f"closed {closed} rows of run {run_id}")

"""The sensor that closes what a killed process left open in ``orchestration.sync_history``.

A run that ends in Python closes its own row. Three things do not: a killed step, whose run fails; a killed run that
was cancelled; a lost machine, of which Dagster hears nothing for hours. A row that is ``running`` while its advisory
lock is free belongs to a dead process; Dagster says which of these failed and why, and which somebody had cancelled.
Runs that Dagster believes started are closed with it, as ``run_lock`` says.

It runs by default, once a minute: a tick costs a tenth of a short run, and comes each minute even if there is nothing
to close. While the database is away its ticks fail; what one misses, the next one finds.
"""

from collections.abc import Callable

import dagster as dg

from warehouse_pipelines.orchestration.ticks import told_plainly

EVERY_SECONDS = 60


def sensors(url: Callable[[], str]) -> list[dg.SensorDefinition]:
    """Return the sensor of the warehouse at ``url()``."""

    @dg.sensor(
        name="close_stale_runs", minimum_interval_seconds=EVERY_SECONDS, default_status=dg.DefaultSensorStatus.RUNNING
    )
    def close_stale_runs(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        """Close the history rows and the runs whose process is dead, and free their slots."""
        from warehouse_pipelines.loading import sync_history
        from warehouse_pipelines.orchestration import run_lock

        with told_plainly():
            close_ended(context.instance, url())
            rows = sync_history.close_stale_runs(url())
            runs = run_lock.close_dead_runs(context.instance, url())
        if not rows and not runs:
            return dg.SkipReason("nothing was left open")
        return dg.SkipReason(f"closed {', '.join(map(str, rows)) or 'no row'}; runs: {', '.join(runs) or 'none'}")

    return [close_stale_runs]


def close_ended(instance: dg.DagsterInstance, url: str) -> None:
    """Close the history rows of runs that failed or were cancelled. Raises ``DatabaseUnavailable``."""
    from warehouse_pipelines.loading import sync_history

    if running := sync_history.running_in(url):
        ended = [dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]
        for run in instance.get_runs(dg.RunsFilter(run_ids=running, statuses=ended)):
            if run.status == dg.DagsterRunStatus.CANCELED:
                sync_history.close_run(url, run.run_id, "cancelled", sync_history.CANCELLED)
            else:
                sync_history.close_run(url, run.run_id, _failure(instance, run.run_id))


def _failure(instance: dg.DagsterInstance, run_id: str) -> str:
    """Return what Dagster says of a run that failed."""
    kept = instance.get_records_for_run(run_id, of_type=dg.DagsterEventType.RUN_FAILURE, limit=1, ascending=False)
    return next((event.message for one in kept.records if (event := one.event_log_entry.dagster_event)), None) or (
        "the run failed"
    )

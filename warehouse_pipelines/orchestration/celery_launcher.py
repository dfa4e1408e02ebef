"""Launches runs as tasks of Celery, so that workers on several machines execute them. docs/scale.md says how to set up.

Dagster's own launcher believes what Celery stored as the state of a task, and that stays STARTED for ever when the
worker was killed. This one asks the heartbeat of the run (``heartbeats``): Dagster's run monitoring then fails the run
and starts it once more. A run is ended by its own process, which reads its state; no signal goes through the broker.

No results are stored, so no backend is needed. The broker carries one message a run, and may lose or repeat it: a run
that does not start in time is failed by the monitoring, and one that is delivered twice is claimed once.
"""

import contextlib
from collections.abc import Mapping
from typing import Any
from uuid import uuid4

import dagster as dg
from dagster._core.launcher import CheckRunHealthResult, WorkerStatus
from dagster._serdes import ConfigurableClassData
from dagster_celery.launcher import CeleryRunLauncher
from dagster_celery.tags import (
    DAGSTER_CELERY_QUEUE_TAG,
    DAGSTER_CELERY_RUN_PRIORITY_TAG,
    DAGSTER_CELERY_TASK_ID_TAG,
)

from warehouse_pipelines import settings
from warehouse_pipelines.errors import NotConfigured
from warehouse_pipelines.orchestration.heartbeats import SILENT_SECONDS, HeartbeatMonitor

VISIBILITY_SECONDS = 60 * 60 * 14
"""After which Redis delivers again what no worker confirmed: longer than a run may take (``max_runtime_seconds``)."""

CONFIGURATION: dict[str, Any] = {
    "broker_connection_retry_on_startup": True,
    "broker_transport_options": {"visibility_timeout": VISIBILITY_SECONDS},
    "task_publish_retry_policy": {"max_retries": 10, "interval_start": 0.5, "interval_step": 0.5, "interval_max": 3},
    "task_ignore_result": True,
    "worker_hijack_root_logger": False,
    # A worker takes what it can execute at once, and confirms it when it is done.
    "worker_prefetch_multiplier": 1,
    # A run has a process to itself: its locks and its memory end with it.
    "worker_max_tasks_per_child": 1,
    "worker_redirect_stdouts": False,
}

_monitor = HeartbeatMonitor()
"""Of this process: the daemon may make a launcher more than once."""


class Launcher(CeleryRunLauncher):
    """``run_launcher`` of ``config/dagster.celery.yaml``, where no password stands: the broker's URL is a setting."""

    def __init__(self, broker: str, default_queue: str, inst_data: ConfigurableClassData | None = None) -> None:
        super().__init__(
            default_queue=default_queue, broker=broker, config_source=CONFIGURATION, inst_data=inst_data
        )  # fmt: skip

    @classmethod
    def config_type(cls) -> dict[str, Any]:
        """Return the schema."""
        return {
            "default_queue": dg.Field(
                dg.StringSource, default_value="dagster", is_required=False,
                description="The queue of a run without the tag dagster-celery/queue.",
            ),
        }  # fmt: skip

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]) -> "Launcher":
        """Return the launcher of an instance. Raises ``NotConfigured`` without ``WAREHOUSE_CELERY_BROKER_URL``."""
        broker = settings.settings().warehouse_celery_broker_url
        if broker is None:
            raise NotConfigured(
                "WAREHOUSE_CELERY_BROKER_URL is missing: the Redis that hands runs to workers, such as "
                "redis://:password@host:6379/0 (docs/scale.md)."
            )
        return cls(broker.get_secret_value(), inst_data=inst_data, **config_value)

    def _launch_celery_task_run(self, run: dg.DagsterRun, task_signature: Any, routing_key: str) -> None:
        """Do as ``CeleryRunLauncher``, but note the task's id before it is sent and not afterwards.

        Tags are stored with the whole run, so of two processes that add some at a time one is overwritten. The worker
        adds its own as soon as it has the task; and a daemon that died in between would leave a task that nobody knows.
        """
        queue = run.tags.get(DAGSTER_CELERY_QUEUE_TAG, self.default_queue)
        task_id = str(uuid4())
        self._instance.add_run_tags(run.run_id, {DAGSTER_CELERY_TASK_ID_TAG: task_id})
        self._instance.report_engine_event(f"Sending task {task_id} to queue {queue} of Celery", run, cls=type(self))
        priority = int(run.tags.get(DAGSTER_CELERY_RUN_PRIORITY_TAG, 0))
        task_signature.apply_async(
            task_id=task_id, priority=priority, queue=queue, routing_key=f"{queue}.{routing_key}"
        )

    @property
    def supports_resume_run(self) -> bool:
        """A run that lost its worker is failed and started anew."""
        return False

    def check_run_worker_health(self, run: dg.DagsterRun) -> CheckRunHealthResult:
        """Return FAILED for a run whose process was not heard of for ``SILENT_SECONDS``.

        Dagster asks about every run. One of the command line, which no worker executes, has no heartbeat; ``run_lock``
        tells when it has ended.
        """
        if DAGSTER_CELERY_TASK_ID_TAG not in run.tags:
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        if quiet := _monitor.silent_seconds(self._instance, run.run_id):
            return CheckRunHealthResult(
                WorkerStatus.FAILED,
                f"its worker was not heard of for {quiet:.0f} s (more than {SILENT_SECONDS:.0f}): it was killed, or "
                "its machine is down or cut off",
            )
        return CheckRunHealthResult(WorkerStatus.RUNNING)

    def get_run_worker_debug_info(self, run: dg.DagsterRun, include_container_logs: bool | None = True) -> str | None:
        """Return nothing: what there is to say stands in the run's events."""
        return None

    def terminate(self, run_id: str) -> bool:
        """Ask the process of a run to end, which takes seconds, and keep workers from starting it."""
        run = self._instance.get_run_by_id(run_id)
        if run is None or run.is_finished:
            return False
        self._instance.report_run_canceling(run)
        with contextlib.suppress(Exception):  # a broker that is down delivers nothing
            self.celery.control.revoke(run.tags[DAGSTER_CELERY_TASK_ID_TAG])
        return True

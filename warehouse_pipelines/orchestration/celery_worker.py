"""The application of a Celery worker, which executes the runs that ``celery_launcher`` sends.

    celery -A warehouse_pipelines.orchestration.celery_worker worker -Q dagster -c 4

Everything is imported before the worker forks, so a run begins at once. ``DAGSTER_HOME`` must name an instance whose
launcher is ``celery_launcher.Launcher``; the broker is the one that stands there.
"""

import logging
import signal

import dagster as dg
from celery import Celery
from dagster._cli.api import _execute_run_command_body
from dagster._core.errors import DagsterExecutionInterruptedError
from dagster._grpc.types import ExecuteRunArgs
from dagster._serdes import unpack_value
from dagster._utils.interrupts import capture_interrupts
from dagster_celery.config import TASK_EXECUTE_JOB_NAME
from dagster_shared.serdes.serdes import JsonSerializableValue

from warehouse_pipelines.errors import NotConfigured
from warehouse_pipelines.orchestration import forkserver_preload  # noqa: F401  (imports what a run needs)
from warehouse_pipelines.orchestration.celery_launcher import Launcher
from warehouse_pipelines.orchestration.heartbeats import Heartbeat

log = logging.getLogger("warehouse")

STARTABLE = (dg.DagsterRunStatus.NOT_STARTED, dg.DagsterRunStatus.STARTING)


def execute(run_id: str) -> int:
    """Execute a run in this process and return its exit code; do nothing if it began already, here or elsewhere."""
    with dg.DagsterInstance.get() as instance:
        run = instance.get_run_by_id(run_id)
        if run is None or run.status not in STARTABLE:
            log.warning("run %s was delivered again, and is %s", run_id, run.status.value if run else "not known")
            return 0
        with Heartbeat(instance, run_id) as heartbeat:
            if not heartbeat.claimed:
                log.warning("run %s was delivered again, and is executed by another worker", run_id)
                return 0
            with capture_interrupts():
                return _execute_run_command_body(
                    run_id=run_id, instance=instance, write_stream_fn=lambda event: None, set_exit_code_on_failure=True
                )


def application() -> Celery:
    """Return the application of the instance's launcher, with its task. Raises ``NotConfigured``."""
    with dg.DagsterInstance.get() as instance:
        launcher = instance.run_launcher
        if not isinstance(launcher, Launcher):
            raise NotConfigured(
                "The dagster.yaml in DAGSTER_HOME names no broker. Set WAREHOUSE_DAGSTER_CONFIG to "
                "config/dagster.celery.yaml; docs/scale.md says what else is needed."
            )
        celery = launcher.celery

    # Confirmed after the run: what was not begun when its worker died is delivered again.
    @celery.task(name=TASK_EXECUTE_JOB_NAME, acks_late=True)  # type: ignore[untyped-decorator]
    def execute_job(execute_job_args_packed: JsonSerializableValue) -> int:
        signal.signal(signal.SIGINT, signal.default_int_handler)  # Celery has its processes ignore it
        try:
            return execute(unpack_value(execute_job_args_packed, as_type=ExecuteRunArgs).run_id)
        except (KeyboardInterrupt, DagsterExecutionInterruptedError):
            return 1

    return celery


app = application()

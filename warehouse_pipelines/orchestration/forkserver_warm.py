"""Imported after ``forkserver_preload`` by the process that the code server's runs are forked from.

It does once what each run would do first: it makes the jobs that schedules run, opens Dagster's instance and the
warehouse and closes both, and keeps what is left of that, such as the catalog of types, out of the garbage collector. A
short run took a third of its time for it. What fails here is left to the run, which says so.

A run's output is copied to that of the code server by ``tail``. Dagster starts an interpreter beside each to end it
with the run; GNU's does so by itself.
"""

import contextlib
import gc
import importlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any


def build() -> None:
    """Make what each run would make of its job, and the context of TLS."""
    from dagster._core.execution.api import create_execution_plan

    from warehouse_pipelines.sources import _http

    _http._trusted()
    repository = sys.modules["warehouse_pipelines.definitions"].defs.get_repository_def()
    for name in sorted({schedule.job_name for schedule in repository.schedule_defs}):
        job = repository.get_job(name)
        create_execution_plan(job)
        job.get_job_snapshot_id()


def open_warehouse() -> None:
    """Open and close the warehouse. ADBC keeps its types, which take longer to read than what a short sync reads."""
    from warehouse_pipelines import warehouse
    from warehouse_pipelines.loading import transaction
    from warehouse_pipelines.local.database import database_url

    url = database_url()
    warehouse.connect(url).close()
    transaction._connect(url).close()


def open_instance() -> None:
    """Open Dagster's instance, and close it with its connections, which no fork may use."""
    import dagster as dg

    with dg.DagsterInstance.get() as instance:
        instance.get_runs_count()
        storage: Any = instance.event_log_storage
        storage._engine.dispose()


@contextlib.contextmanager
def tail(path: str, stream: Any) -> "Iterator[tuple[int, None]]":
    """Do as Dagster's ``execute_posix_tail``, with one process."""
    from dagster._core.execution import compute_logs

    followed = ["tail", f"--pid={os.getpid()}", "-F", "-c", "+0", path]
    process = subprocess.Popen(followed, stdout=stream if compute_logs._fileno(stream) else None)
    try:
        yield process.pid, None
    finally:
        time.sleep(float(os.environ.get("DAGSTER_COMPUTE_LOG_TAIL_WAIT_AFTER_FINISH", "0")))
        compute_logs._clean_up_subprocess(process)


def follow_by_tail() -> None:
    """Let runs start ``tail`` alone, where it is GNU's."""
    told = subprocess.run(["tail", "--version"], capture_output=True, text=True, check=True)
    if "GNU coreutils" in told.stdout:
        compute_logs: Any = importlib.import_module("dagster._core.execution.compute_logs")
        compute_logs.execute_posix_tail = tail


gc.disable()
for step in (build, open_warehouse, open_instance, follow_by_tail):
    with contextlib.suppress(Exception):
        step()
gc.freeze()
gc.enable()

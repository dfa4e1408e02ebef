"""Imported by what forks a process for each run, when it starts: ``forked_runs``, ``job_processes``, ``celery_worker``.

It imports what a run needs, builds Dagster's repository with the jobs that are run by a schedule, reads the trusted
certificates, and keeps all of it out of the garbage collector, so that forks share their memory: 0.1 s of each run. What
cannot be imported or built is left to the run, which says so.
"""

import contextlib
import gc
import importlib
import sys
from typing import Any

NEEDED = (
    "warehouse_pipelines.definitions",
    "warehouse_pipelines.loading.sync",
    "warehouse_pipelines.loading.sample",
    "warehouse_pipelines.loading.dlt_read",
    "warehouse_pipelines.loading.dlt_source",
    "dagster._cli",
    "dagster._grpc.impl",
    "dagster._core.execution.api",
    "dagster_postgres.storage",
    "dlt",
    "dlt.common.libs.pyarrow",
    "dlt.sources.helpers.requests",
    "httpcore",
    "httpx",
    "phonenumbers.data.region_US",
    "pyarrow.parquet",
)
"""What a run imports; none of it starts a thread of Python's."""


def build(repository: Any) -> None:
    """Make what each run would make of its job, and the context of TLS."""
    from dagster._core.execution.api import create_execution_plan

    from warehouse_pipelines.sources import _http

    _http._trusted()
    for name in sorted({schedule.job_name for schedule in repository.schedule_defs}):
        job = repository.get_job(name)
        create_execution_plan(job)
        job.get_job_snapshot_id()


gc.disable()
for name in NEEDED:
    try:
        importlib.import_module(name)
    except Exception:  # noqa: S112
        continue
with contextlib.suppress(Exception):
    build(sys.modules["warehouse_pipelines.definitions"].defs.get_repository_def())
gc.freeze()
gc.enable()

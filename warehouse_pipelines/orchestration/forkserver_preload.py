"""Imported by what forks a process for each run, when it starts: ``forked_runs``, ``job_processes``, ``celery_worker``.

It imports what a run needs, builds Dagster's repository, and keeps both out of the garbage collector, so that forks
share their memory. What cannot be imported is left to the run, which says so.
"""

import contextlib
import gc
import importlib
import sys

NEEDED = (
    "warehouse_pipelines.definitions",
    "warehouse_pipelines.loading.sync",
    "warehouse_pipelines.loading.sample",
    "warehouse_pipelines.loading.dlt_read",
    "warehouse_pipelines.loading.dlt_source",
    "warehouse_pipelines.unified.feed",
    "warehouse_pipelines.unified.marts.lineage",
    "warehouse_pipelines.unified.marts.refresh",
    "warehouse_pipelines.unified.identity.resolve",
    "dagster._cli",
    "dagster._grpc.impl",
    "dagster._core.execution.api",
    "dagster._core.storage.local_compute_log_manager",
    "dagster_postgres.storage",
    "dlt",
    "dlt.__plugins__",
    "dlt.common.configuration.plugins",
    "dlt.common.libs.pyarrow",
    "dlt.sources.helpers.requests",
    "httpcore",
    "httpx",
    "phonenumbers.data.region_US",
    "psycopg2.extras",
    "pyarrow.parquet",
    "upath.core",
)
"""What a run imports; none of it starts a thread of Python's."""

gc.disable()
for name in NEEDED:
    try:
        importlib.import_module(name)
    except Exception:  # noqa: S112
        continue
with contextlib.suppress(Exception):
    sys.modules["warehouse_pipelines.definitions"].defs.get_repository_def()
gc.freeze()
gc.enable()

"""The jobs of one CRM without all else that is defined, for a command that runs one of them: ``definitions_of``.

To build the definitions of all CRMs, with all sensors, schedules and maintenance, takes a fifth of the time of a sync
that finds nothing new. A job is the same here and there, its snapshot included, as a test says, so Dagster's UI shows
the run at the job, the asset and the lineage that it knows.
"""

from collections.abc import Callable

import dagster as dg

from warehouse_pipelines.model.source import Source
from warehouse_pipelines.orchestration import backfills
from warehouse_pipelines.orchestration.assets import SyncOptions, asset, vendor
from warehouse_pipelines.orchestration.io_manager import io_manager
from warehouse_pipelines.orchestration.run_lock import executor
from warehouse_pipelines.orchestration.schedules import sync_jobs
from warehouse_pipelines.sources import SOURCES


def definitions_of(source: Source, url: Callable[[], str]) -> dg.Definitions:
    """Return the jobs ``sync_`` and ``backfill_`` of a CRM, with its assets, on the warehouse at ``url()``."""
    by_table = {entity.table: entity for one in SOURCES for entity in one.entities}
    return dg.Definitions(
        assets=[*(asset(source, entity, by_table, url) for entity in source.entities), vendor(source)],
        jobs=[*sync_jobs([source]), *backfills.jobs([source], url)],
        resources={"io_manager": io_manager([source], url), "sync": SyncOptions()},
        executor=executor(url),
    )

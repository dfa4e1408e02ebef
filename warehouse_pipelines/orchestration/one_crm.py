"""The jobs of one CRM, or of one entity, for a command that runs one of them: ``definitions_of``.

To build the definitions of all CRMs, with all sensors, schedules and maintenance, takes a sixth of the time of a sync
that finds nothing new. A job is the same here and there, its snapshot included, as a test says, so Dagster's UI shows
the run at the job, the asset and the lineage that it knows.
"""

from collections.abc import Callable

import dagster as dg

from warehouse_pipelines.model.source import Source
from warehouse_pipelines.orchestration import backfills
from warehouse_pipelines.orchestration.assets import SyncOptions, asset, vendor
from warehouse_pipelines.orchestration.io_manager import IO_MANAGER, io_manager
from warehouse_pipelines.orchestration.run_lock import executor
from warehouse_pipelines.orchestration.schedules import sync_job
from warehouse_pipelines.sources import SOURCES


def definitions_of(source: Source, name: str, url: Callable[[], str]) -> dg.Definitions:
    """Return the jobs ``sync_`` and ``backfill_`` of the entity of this name, or ``sync_<crm>_all``, with their assets.

    ``url`` finds the warehouse.
    """
    by_table = {entity.table: entity for one in SOURCES for entity in one.entities}
    entities = [entity for entity in source.entities if name in ("all", entity.name)]
    one = None if name == "all" else entities[0]
    since = one and one.cadence.backfill_since
    return dg.Definitions(
        assets=[*(asset(source, entity, by_table, url) for entity in entities), vendor(source)],
        jobs=[sync_job(source, one), *([backfills.job(source, one, since, url)] if one and since else [])],
        resources={IO_MANAGER: io_manager([source], url), "sync": SyncOptions()},
        executor=executor(url),
    )

"""Everything that Dagster sees, assembled once.

``build_definitions`` takes other sources and another warehouse, for tests and the demo. Nothing is read from the
environment but which CRMs are configured, which decides whether their schedules run; no secret is needed to import.

The executor runs all steps of a run in its own process: 0.1 s a step instead of 2.4 s. Those of a whole CRM it runs in
a few processes side by side (``side_by_side``). A step that fails stops what depends on it and nothing else.
"""

from collections.abc import Callable, Sequence

import dagster as dg

from warehouse_pipelines import settings
from warehouse_pipelines.local.database import database_url
from warehouse_pipelines.model.source import Source
from warehouse_pipelines.observability import dagster_logs
from warehouse_pipelines.observability.alerts.settings import AlertSettings
from warehouse_pipelines.orchestration import (
    alerts,
    backfills,
    crm_maintenance,
    dagster_maintenance,
    forked_runs,
    identity_maintenance,
    maintenance,
    marts,
    outbound,
    pipedesk_maintenance,
    retention,
    schedule_rows,
    sequences,
    unified,
    webhooks,
)
from warehouse_pipelines.orchestration.assets import SyncOptions, assets
from warehouse_pipelines.orchestration.checks import checks
from warehouse_pipelines.orchestration.io_manager import io_manager
from warehouse_pipelines.orchestration.run_lock import executor
from warehouse_pipelines.orchestration.schedules import jobs, schedules, whole
from warehouse_pipelines.orchestration.sensors import sensors
from warehouse_pipelines.sequences.settings import SequenceSettings
from warehouse_pipelines.sources import SOURCES


def build_definitions(sources: Sequence[Source] = SOURCES, *, url: Callable[[], str] = database_url) -> dg.Definitions:
    """Return the definitions of ``sources``, loaded into the warehouse at ``url()``."""
    sync_jobs, sync_schedules = jobs(sources), schedules(sources, url)
    tasks = {
        "crm": crm_maintenance.TASKS,
        "pipedesk": pipedesk_maintenance.TASKS,
        "identity": identity_maintenance.TASKS,
        "orchestration": retention.tasks(sources),
    }

    return dg.Definitions(
        assets=[*assets(sources, url), *unified.assets(url), *marts.assets(url), *outbound.assets(url)],
        asset_checks=checks(sources, url),
        jobs=[
            *sync_jobs,
            *backfills.jobs(sources, url),
            *maintenance.jobs(tasks, url),
            *dagster_maintenance.jobs(url),
            *unified.jobs(),
            *webhooks.jobs(sources, url),
            *marts.jobs(),
            *outbound.jobs(),
            *sequences.jobs(url),
            *alerts.jobs(sources, url),
        ],
        schedules=[
            *sync_schedules,
            *maintenance.schedules(tasks, url),
            *dagster_maintenance.schedules(),
            *unified.schedules(sources, url),
            *outbound.schedules(),
            *sequences.schedules(),
            *alerts.schedules(),
        ],
        sensors=[
            *sensors(url),
            *schedule_rows.sensors(sources, sync_schedules, whole(sync_jobs, sources), url),
            *webhooks.sensors(sources, url),
            *alerts.sensors(sources, url),
        ],
        resources={"io_manager": io_manager(sources, url), "sync": SyncOptions()},
        executor=executor(url, sources),
    )


# The code server lives for days, and its runs and ticks have its environment; each reads .env anew.
settings.forget_copies([settings.Settings, AlertSettings, SequenceSettings, *(source.settings for source in SOURCES)])
dagster_logs.configure()
forked_runs.fork_runs()
forked_runs.go_on_looking()
forked_runs.sleep_longer()

defs = build_definitions()

"""Everything that Dagster sees, assembled once.

``build_definitions`` takes other sources and another warehouse, for tests and the demo. Nothing is read from the
environment but which CRMs are configured, which decides whether their schedules run; no secret is needed to import.

The executor runs all steps of a run in its own process: 0.1 s a step instead of 2.4 s. Those of a whole CRM it runs in
a few processes side by side (``side_by_side``). A step that fails stops what depends on it and nothing else. Each job
has it, and so have the definitions: what *Materialize* runs is a job of Dagster's own, which has no other way to one.

``to_merge`` returns them for a code location that has other definitions beside these (docs/deploy.md).
"""

from collections.abc import Callable, Sequence

import dagster as dg
from dagster_shared.record import copy

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
from warehouse_pipelines.orchestration.io_manager import IO_MANAGER, io_manager
from warehouse_pipelines.orchestration.run_lock import executed, executor
from warehouse_pipelines.orchestration.schedules import jobs, schedules, whole
from warehouse_pipelines.orchestration.sensors import sensors
from warehouse_pipelines.sequences.settings import SequenceSettings
from warehouse_pipelines.sources import SOURCES


def build_definitions(sources: Sequence[Source] = SOURCES, *, url: Callable[[], str] = database_url) -> dg.Definitions:
    """Return the definitions of ``sources``, loaded into the warehouse at ``url()``."""
    in_process = executor(url, sources)
    sync_jobs, sync_schedules = executed(jobs(sources), in_process), schedules(sources, url)
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
            *executed(backfills.jobs(sources, url), in_process),
            *executed(maintenance.jobs(tasks, url), in_process),
            *executed(dagster_maintenance.jobs(url), in_process),
            *executed(unified.jobs(), in_process),
            *executed(webhooks.jobs(sources, url), in_process),
            *executed(marts.jobs(), in_process),
            *executed(outbound.jobs(), in_process),
            *executed(sequences.jobs(url), in_process),
            *executed(alerts.jobs(sources, url), in_process),
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
        resources={IO_MANAGER: io_manager(sources, url), "sync": SyncOptions()},
        executor=in_process,
    )


# The code server lives for days, and its runs and ticks have its environment; each reads .env anew.
settings.forget_copies([settings.Settings, AlertSettings, SequenceSettings, *(source.settings for source in SOURCES)])
dagster_logs.configure()
forked_runs.fork_runs()
forked_runs.go_on_looking()
forked_runs.sleep_longer()

defs = build_definitions()


def to_merge(definitions: dg.Definitions = defs) -> dg.Definitions:
    """Return the definitions without an executor, for ``dg.Definitions.merge`` with others, which may have one.

    Our jobs keep theirs. What *Materialize* runs of our assets is run by that of the others, or by Dagster's.
    """
    return copy(definitions, executor=None)

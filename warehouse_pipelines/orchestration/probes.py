"""What a schedule's tick syncs itself, without a run: the entities that are likely to have nothing new.

Each is a probe (``loading.probe``), one after another, as the vendor's pool and its budget are shared with runs. What
has something new, or was not reached within ``TICK_SECONDS``, is left to a run, with the entities that are read from
it. A probe is a materialization of its asset all the same, as the table is as new as after a run; it has no log and no
checks.
"""

import threading
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import dagster as dg
from dagster._core.instance import RUNLESS_RUN_ID
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecord

from warehouse_pipelines.model.entity import Entity
from warehouse_pipelines.model.source import Source
from warehouse_pipelines.orchestration import checks
from warehouse_pipelines.orchestration.asset_facts import key_of, metadata, vendor_key

if TYPE_CHECKING:
    from warehouse_pipelines.loading.options import Result
    from warehouse_pipelines.warehouse import Session

TICK_SECONDS = 20.0
"""The ticks of other schedules wait for this one, and Dagster waits for it for a minute."""

CHECKED_SECONDS = 23.5 * 3600
"""An entity whose checks were recorded longer ago is synced by a run again, which keeps a log and makes them anew."""

SHOWN = ("dagster/row_count", "mode", "window", "unchanged", "api_calls", "sync_history_id")
"""What the materialization of a probe shows of it."""

_at_it: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)
"""Of each CRM the lock of the tick that probes it: a person may evaluate one in the UI meanwhile."""


def probe(
    instance: dg.DagsterInstance, session: "Session", source: Source, entities: Sequence[Entity], url: str
) -> list[Entity]:
    """Sync those of a CRM's entities that have nothing new, as far as that is likely; return these.

    Raises as ``psycopg`` and Dagster's storage do.
    """
    from warehouse_pipelines.loading import probe as entity_probe

    until = time.monotonic() + TICK_SECONDS
    likely = entity_probe.candidates(session, source, entities)
    stored = _results(instance, likely)
    since = time.time() - CHECKED_SECONDS
    likely = [one for one in likely if all(checks.passed(stored.get(key), since) for key in checks.at_once(one))]
    if not likely or not _at_it[source.name].acquire(timeout=1):
        return []
    left = {entity.table for entity in entities}
    done: list[Entity] = []
    calls = 0
    try:
        for entity in _parents_first(likely):
            if entity.parent in left or time.monotonic() >= until:
                continue
            if result := entity_probe.probe(source, entity, url=url):
                _report(instance, entity, result)
                left.remove(entity.table)
                done.append(entity)
                calls += result.calls
    finally:
        _at_it[source.name].release()
    if done:
        instance.report_runless_asset_event(dg.AssetObservation(vendor_key(source), metadata={"api_calls": calls}))
    return done


def _results(
    instance: dg.DagsterInstance, entities: Sequence[Entity]
) -> Mapping[dg.AssetCheckKey, AssetCheckExecutionRecord]:
    """Return the last result of each check of these entities."""
    keys = [*checks.hourly(entities), *(key for entity in entities for key in checks.at_once(entity))]
    return instance.event_log_storage.get_latest_asset_check_execution_by_key(keys)


def _parents_first(entities: Sequence[Entity]) -> list[Entity]:
    parents = {entity.table: entity.parent for entity in entities}

    def depth(table: str | None) -> int:
        return 1 + depth(parents[table]) if table in parents else 0

    return sorted(entities, key=lambda entity: depth(entity.table))


def _report(instance: dg.DagsterInstance, entity: Entity, result: "Result") -> None:
    """Record the materialization of a probe. Its data version is the last one's, so what comes after is not stale.

    Dagster shows results of checks if they are of the run that materialized last, or of none if none did. So those that
    it shows of a run are recorded once more, of none: they stand, as nothing is new.
    """
    key = key_of(entity.table)
    latest = next((one.asset_entry.last_materialization_record for one in instance.get_asset_records([key])), None)
    made = latest.asset_materialization if latest else None
    shown = [
        (one.run_id, one.evaluation)
        for one in _results(instance, [entity]).values()
        if isinstance(one.evaluation, dg.AssetCheckEvaluation) and checks.is_shown(one, latest)
    ]
    instance.report_runless_asset_event(
        dg.AssetMaterialization(
            key,
            description="nothing is new; found by the schedule's tick, without a run",
            metadata={name: fact for name, fact in metadata(result).items() if name in SHOWN},
            tags=made.tags if made else None,
        )
    )
    for run_id, evaluation in shown:
        if run_id != RUNLESS_RUN_ID:
            instance.report_runless_asset_event(evaluation)

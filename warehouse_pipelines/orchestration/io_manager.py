"""From Dagster to the loader and back: how a step of a run loads an entity, and what it says of that.

An asset returns its dlt resource unread. ``SyncIOManager`` decides which window the run asks for, lets
``loading.sync`` read and load it, and puts what came of it on the materialization. The lock, the history row and the
transaction belong to ``loading.sync``.

A dry run wrote nothing, so it leaves an *observation*. Dagster materializes whatever an IO manager returned from,
unless the run carries the tag by which externally managed runs defer their events; the tag is put on this step's copy
of the run only.
"""

import contextlib
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import dagster as dg
from dagster._core.storage.tags import (
    ASSET_PARTITION_RANGE_END_TAG,
    ASSET_PARTITION_RANGE_START_TAG,
    PARTITION_NAME_TAG,
)

from warehouse_pipelines import warehouse
from warehouse_pipelines.errors import WrongUse
from warehouse_pipelines.loading.options import Options, Result
from warehouse_pipelines.model.entity import Entity
from warehouse_pipelines.model.source import Source
from warehouse_pipelines.observability import logs
from warehouse_pipelines.orchestration.asset_facts import key_of, metadata, vendor_key
from warehouse_pipelines.orchestration.failures import failures

IO_MANAGER = "warehouse_io_manager"
"""The key of the resource. A code location that has our assets beside others may have an ``io_manager`` of its own."""

DEFER_EVENTS = "dagster/defer_asset_events"
PARTITION_TAGS = (PARTITION_NAME_TAG, ASSET_PARTITION_RANGE_START_TAG, ASSET_PARTITION_RANGE_END_TAG)


class SyncIOManager(dg.IOManager):
    """Loads what an asset returned. ``entities`` says by asset key what it is."""

    def __init__(
        self, entities: Mapping[dg.AssetKey, tuple[Source, Entity]], url: Callable[[], str], options: Options
    ) -> None:
        self._entities = entities
        self._url = url
        self._options = options

    def handle_output(self, context: dg.OutputContext, obj: Any) -> None:
        """Run one sync, and tell Dagster about it. Raises as ``load`` does."""
        source, entity = self._entities[context.asset_key]
        result = load(context, source, entity, self._options, url=self._url, unread=obj)
        facts = metadata(result)
        if self._options.dry_run:
            context.log_event(dg.AssetObservation(context.asset_key, metadata=facts, description="a dry run"))
            _materialize_nothing(context)
            return
        context.add_output_metadata(facts)

    def load_input(self, context: dg.InputContext) -> None:
        """Raise ``NotImplementedError``: what reads a table reads it in SQL and declares ``deps``."""
        raise NotImplementedError(f"{context.asset_key.to_user_string()} is a table; declare it in deps and query it")


def io_manager(sources: Iterable[Source], url: Callable[[], str]) -> dg.IOManagerDefinition:
    """Return the definition, which has the options of the run from the resource ``sync``."""
    entities = {key_of(entity.table): (source, entity) for source in sources for entity in source.entities}

    @dg.io_manager(required_resource_keys={"sync"}, description="Reads what an asset returned into its table.")
    def made(context: dg.InitResourceContext) -> SyncIOManager:
        return SyncIOManager(entities, url, context.resources.sync.options())

    return made


def load(
    context: dg.OutputContext | dg.OpExecutionContext,
    source: Source,
    entity: Entity,
    options: Options,
    *,
    url: Callable[[], str],
    unread: Any,
    until_free: bool = False,
) -> Result:
    """Read and load one entity in a step of Dagster's. Raises ``dg.Failure``, or asks for another attempt.

    With ``until_free`` another run of the entity is waited for until it has ended.
    """
    from warehouse_pipelines.loading import sample
    from warehouse_pipelines.loading.sync import sync

    run_id = _run_id(context)
    with failures(context, lambda: _history(url(), source, entity, run_id)), _at_debug(options.debug):
        if isinstance(context, dg.OutputContext):
            _refuse_partition(context, source, entity)
        purpose = options.purpose(source, entity)
        result = sync(
            source, entity, options, purpose, url=url(), run_id=run_id, resource=unread, until_free=until_free
        )
        if options.dry_run:
            return result
        # The vendor's own page shows when it was last read, and plots what that cost.
        context.log_event(dg.AssetObservation(vendor_key(source), metadata={"api_calls": result.calls}))
        return result if result.sample else replace(result, sample=sample.stored(url(), entity))


def _refuse_partition(context: dg.OutputContext, source: Source, entity: Entity) -> None:
    """Raise ``WrongUse`` for a run that is asked for a partition, which no asset has: it would read what is new."""
    tags = context.step_context.dagster_run.tags if context._step_context else {}
    if not (asked := [f"{tag}={tags[tag]}" for tag in PARTITION_TAGS if tag in tags]):
        return
    name = f"{source.name} {entity.name}"
    instead = f"{name} cannot be asked by date; read it with `full`"
    if entity.cadence.backfill_since:
        instead = f"launch backfill_{source.name}_{entity.name}, which has a partition a month"
    raise WrongUse(f"The run is tagged {', '.join(asked)}, and {name} has no partitions: {instead}. Nothing was read.")


def _history(url: str, source: Source, entity: Entity, run_id: str | None) -> dict[str, Any]:
    """Return the id and the counts of the history row that the failed sync left."""
    with warehouse.session(url) as session:
        row = session.execute(
            """
            SELECT id AS sync_history_id, records_processed AS processed, records_created AS created,
                   records_updated AS updated, records_failed AS failed
            FROM orchestration.sync_history
            WHERE crm_source = %s AND sync_type = %s AND run_id = %s ORDER BY id DESC LIMIT 1
            """,
            (source.name, entity.name, run_id),
        ).fetchone()
    return dict(row or {})


@contextlib.contextmanager
def _at_debug(wanted: bool) -> Iterator[None]:
    """Let the loader's DEBUG lines into the log of the run."""
    loggers = [logs.general, logs.sync, logs.ingestion]
    before = [logger.level for logger in loggers]
    try:
        for logger in loggers if wanted else ():
            logger.setLevel(logging.DEBUG)
        yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)


def _run_id(context: dg.OutputContext | dg.OpExecutionContext) -> str | None:
    """Return the run's id; None in a context that a test built."""
    return context.run_id if isinstance(context, dg.OpExecutionContext) or context._step_context else None


def _materialize_nothing(context: dg.OutputContext) -> None:
    """Keep Dagster from recording materializations for the rest of this run, of which all is dry."""
    if context._step_context:
        tags: Any = context.step_context.dagster_run.tags
        tags[DEFER_EVENTS] = "true"

"""From Dagster to the loader and back: how a step of a run loads an entity, and what it says of that.

An asset returns its dlt resource unread. ``SyncIOManager`` decides which window the run asks for, lets
``loading.sync`` read and load it, and puts what came of it on the materialization. The lock, the history row and the
transaction belong to ``loading.sync``.

Errors are translated once, here: ``TryAgain`` asks for another attempt, up to ``RETRIES``; everything else becomes a
``dg.Failure``, which also tags its run, because ``allow_retries=False`` does not stop the daemon from retrying the run.
dlt wraps what a resource raises, so the cause is searched in the whole chain. An interrupt (a cancel from the UI) is a
``BaseException`` and passes as it is; ``loading.sync`` closes its row.

A dry run wrote nothing, so it leaves an *observation*. Dagster materializes whatever an IO manager returned from,
unless the run carries the tag by which externally managed runs defer their events; the tag is put on this step's copy
of the run only.
"""

import contextlib
import json
import logging
import os
import random
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

import dagster as dg

from warehouse_pipelines import warehouse
from warehouse_pipelines.errors import DatabaseUnavailable, TryAgain, WarehouseError, masked
from warehouse_pipelines.loading.options import Options, Result
from warehouse_pipelines.model.entity import Entity
from warehouse_pipelines.model.source import Source
from warehouse_pipelines.observability import logs

if TYPE_CHECKING:
    from warehouse_pipelines.warehouse import Session

E = TypeVar("E", bound=BaseException)

Step = dg.OutputContext | dg.AssetExecutionContext | dg.OpExecutionContext
"""What Dagster gives the code of a step."""

RETRIES = 2
"""Attempts of a step after the first. They are asked for one by one: a retry policy of Dagster's would also repeat a
step that somebody cancelled."""

NO_RUN_RETRIES = {"dagster/max_retries": "0"}
DEFER_EVENTS = "dagster/defer_asset_events"


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
    entities = by_key(sources)

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
) -> Result:
    """Read and load one entity in a step of Dagster's. Raises ``dg.Failure``, or asks for another attempt."""
    from warehouse_pipelines.loading import sample
    from warehouse_pipelines.loading.sync import sync

    run_id = _run_id(context)
    with failures(context, lambda: _history(url(), source, entity, run_id)), _at_debug(options.debug):
        result = sync(
            source,
            entity,
            options,
            url=url(),
            backfill=options.backfill(source, entity),
            run_id=run_id,
            resource=unread,
        )
        if options.dry_run:
            return result
        # The vendor's own page shows when it was last read, and plots what that cost.
        context.log_event(dg.AssetObservation(vendor_key(source), metadata={"api_calls": result.calls}))
        return result if result.sample else replace(result, sample=sample.stored(url(), entity))


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


def metadata(result: Result) -> dict[str, Any]:
    """Return what a materialization shows of a run."""
    since = result.window.since
    facts: dict[str, Any] = {
        "dagster/row_count": result.total_rows,
        "status": result.status,
        "mode": result.mode,
        "processed": result.processed,
        "created": result.created,
        "updated": result.updated,
        "unchanged": result.unchanged,
        "failed": result.failed,
        "filtered": result.filtered,
        "deleted": result.deleted,
        "restored": result.restored,
        "window": f"{since.isoformat() if since else 'the beginning'} to {result.window.until.isoformat()}",
        "seconds": round(result.seconds, 3),
        "records_per_second": round(result.processed / result.seconds, 1) if result.seconds else 0.0,
        "api_calls": result.calls,
        "sync_history_id": result.history_id,
    }
    if result.watermark is not None:
        facts["cursor"] = dg.TimestampMetadataValue(result.watermark.timestamp())
    if result.reason:
        facts["reason"] = result.reason
    if result.sample:
        facts["preview"] = dg.MarkdownMetadataValue(preview(result.sample))
    return facts


def preview(rows: list[dict[str, Any]], columns: int = 12) -> str:
    """Return rows as a markdown table of their first columns."""
    names = list(rows[0])[:columns]
    lines = [f"| {' | '.join(names)} |", f"|{' --- |' * len(names)}"]
    lines += [f"| {' | '.join(_cell(row.get(name)) for name in names)} |" for row in rows]
    return "\n".join(lines)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    text = value if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False)
    text = " ".join(text.split()).replace("|", "\\|")
    return text if len(text) <= 40 else f"{text[:39]}…"


def find_in_chain(error: BaseException, kind: type[E]) -> E | None:
    """Return the first error of this ``kind`` in the chain of causes."""
    return next((found for found in _chain(error) if isinstance(found, kind)), None)


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and its causes, outermost first, dlt's own attribute for them included."""
    todo: list[Any] = [error]
    seen: set[int] = set()
    while todo:
        found = todo.pop(0)
        if isinstance(found, BaseException) and id(found) not in seen:
            seen.add(id(found))
            yield found
            todo += [found.__cause__, getattr(found, "exception", None), found.__context__]


@contextlib.contextmanager
def failures(context: Step, history: Callable[[], Mapping[str, Any]] = dict) -> Iterator[None]:
    """Turn what goes wrong into another attempt, if that may help and there were not too many, or a ``dg.Failure``.

    ``history`` returns metadata for the failure; when it fails itself, there is none.

    Raises ``dg.RetryRequested`` or ``dg.Failure``.
    """
    _await_turn(context)
    try:
        yield
    except Exception as error:
        if asked := find_in_chain(error, dg.RetryRequested):
            raise asked from None
        facts: dict[str, Any] = {}
        with contextlib.suppress(Exception):
            facts |= history()
        if own := find_in_chain(error, dg.Failure):
            again, description = own.allow_retries, own.description or "failed"
            facts |= own.metadata
        elif known := find_in_chain(error, WarehouseError):
            again, description = isinstance(known, TryAgain), str(known)
            facts["error"] = type(known).__name__
        else:
            root = list(_chain(error))[-1]
            again, description = False, f"{type(root).__name__}: {masked(str(root))}"
            facts["error"] = type(root).__name__
            text = "".join(traceback.format_exception(error))
            facts["traceback"] = dg.MarkdownMetadataValue(f"```\n{masked(text, 20_000)}\n```")
        if not again:
            with contextlib.suppress(Exception):  # the failure itself matters more
                _tag_run(context, NO_RUN_RETRIES)
        # Dagster stores the text of every cause, and that of a stranger's exception may quote a record.
        failure = dg.Failure(description=description, metadata=facts, allow_retries=False)
        if again and (attempts := _attempts(context)) < RETRIES:
            seconds = _retry_seconds(attempts)
            logs.sync.warning(
                "Attempt %d of %d failed, the next one in %.0f s: %s", attempts + 1, RETRIES + 1, seconds, description
            )
            _turns[_step(context)] = time.monotonic() + seconds
            raise dg.RetryRequested(max_retries=RETRIES) from failure
        raise failure from None


@contextlib.contextmanager
def session_of_step(url: str) -> "Iterator[Session]":
    """Lend a session of the warehouse to a step that is no sync. Raises ``dg.Failure`` when the warehouse is away."""
    with contextlib.ExitStack() as borrowed:
        try:
            session = borrowed.enter_context(warehouse.session(url))
        except DatabaseUnavailable as error:
            raise dg.Failure(str(error)) from error
        yield session


_turns: dict[tuple[str, str], float] = {}
"""When the next attempt of a step may begin, by its run and its name."""


def _step(context: Step) -> tuple[str, str]:
    inner = context if isinstance(context, dg.OutputContext) else context.get_step_execution_context()
    return inner.run_id, inner.step_key if isinstance(inner, dg.OutputContext) else inner.step.key


def _await_turn(context: Step) -> None:
    """Wait until this attempt may begin.

    Here and not in Dagster, which would sleep through a request to stop. The other steps of the run that are ready go
    first either way.
    """
    if not isinstance(context, dg.OutputContext) and context.retry_number:
        time.sleep(max(0.0, _turns.pop(_step(context), 0.0) - time.monotonic()))


def _attempts(context: Step) -> int:
    """Return how many attempts of this step were made before."""
    if isinstance(context, dg.OutputContext):
        return context.step_context.previous_attempt_count if context._step_context else RETRIES
    return int(context.retry_number)


def _retry_seconds(attempts: int) -> float:
    """Return half a minute, then a minute, jittered; the shared client has already tried seven times.

    ``WAREHOUSE_RETRY_SECONDS`` scales it as it scales the client's backoff, so that tests need not wait.
    """
    first = 30 * float(os.environ.get("WAREHOUSE_RETRY_SECONDS", "1"))
    return float(first * 2**attempts * random.uniform(0.5, 1.5))  # noqa: S311


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


def _tag_run(context: Step, tags: dict[str, str]) -> None:
    inner = context.step_context if isinstance(context, dg.OutputContext) else context.get_step_execution_context()
    inner.instance.add_run_tags(inner.run_id, tags)


def _run_id(context: dg.OutputContext | dg.OpExecutionContext) -> str | None:
    """Return the run's id; None in a context that a test built."""
    return context.run_id if isinstance(context, dg.OpExecutionContext) or context._step_context else None


def _materialize_nothing(context: dg.OutputContext) -> None:
    """Keep Dagster from recording materializations for the rest of this run, of which all is dry."""
    if context._step_context:
        tags: Any = context.step_context.dagster_run.tags
        tags[DEFER_EVENTS] = "true"


def key_of(entity: Entity) -> dg.AssetKey:
    """Return the asset key: the table, in two parts when it lies outside ``public``."""
    return dg.AssetKey(entity.table.split("."))


def vendor_key(source: Source) -> dg.AssetKey:
    """Return the key of the external asset that stands for a vendor's system."""
    return dg.AssetKey(["vendor", source.name])


def by_key(sources: Iterable[Source]) -> dict[dg.AssetKey, tuple[Source, Entity]]:
    """Return every source and entity by its asset key."""
    return {key_of(entity): (source, entity) for source in sources for entity in source.entities}

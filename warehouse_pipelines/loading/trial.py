"""A trial: read some records of an entity as a sync would, and tell what would become of them. Nothing is written.

    level    of whom              which records
    MOCKED   the simulated vendor all of them, and there are few
    MINIMAL  the vendor           10
    SAMPLE   the vendor           100
    RECENT   the vendor           what changed in seven days, at most 1,000
    FULL     the vendor           all of them

Records go through the source's own ``fetch`` and the loader's own ``Coercer``, so what a trial calls bad a sync would
put into the dead letters. Where the warehouse answers it is asked, in a transaction that may only read, which of them
are new to it or changed; where it does not, that is left out. Not even a row of the history is written, and requests
count towards the vendor's limits within this process alone.

An entity that is read key by key of another (``parent``) takes these keys from the warehouse, else from the vendor.
"""

import contextlib
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
from psycopg import sql

from warehouse_pipelines import warehouse
from warehouse_pipelines.errors import DatabaseUnavailable
from warehouse_pipelines.loading import sample
from warehouse_pipelines.loading.coerce import Coercer
from warehouse_pipelines.loading.process_budget import ProcessBudget
from warehouse_pipelines.loading.resource import EntityRead
from warehouse_pipelines.loading.warehouse_reader import WarehouseReader
from warehouse_pipelines.model.entity import Entity
from warehouse_pipelines.model.reading import Known, NothingKnown, ReadContext, ReadRequest, Window
from warehouse_pipelines.model.source import Source
from warehouse_pipelines.settings import settings

if TYPE_CHECKING:
    from warehouse_pipelines.warehouse import Session

DAYS = timedelta(days=7)
PARENTS = 25
"""Keys that are read of a parent where the warehouse has none."""


class Level(Enum):
    """How much is read, and of whom."""

    MOCKED = "mocked"
    MINIMAL = "minimal"
    SAMPLE = "sample"
    RECENT = "recent"
    FULL = "full"

    @property
    def most(self) -> int:
        """The most records that are read, 0 for all."""
        return {Level.MINIMAL: 10, Level.SAMPLE: 100, Level.RECENT: 1_000}.get(self, 0)

    @property
    def is_recent(self) -> bool:
        """Whether only what changed in the last days is read."""
        return self is Level.RECENT


@dataclass(kw_only=True)
class Trial:
    """What was read of one entity, and what would become of it.

    ``new``, ``changed`` and ``unchanged`` are None where the warehouse was not asked. ``rejects`` counts by the rule
    that a record broke, ``warnings`` and ``lost`` by column: values that are kept though something is wrong, and values
    that are there and would be null. ``empty`` are the columns that no record has a value for.
    """

    entity: Entity
    read: int = 0
    good: int = 0
    filtered: int = 0
    new: int | None = None
    changed: int | None = None
    unchanged: int | None = None
    rejects: Counter[str] = field(default_factory=Counter)
    warnings: Counter[str] = field(default_factory=Counter)
    lost: Counter[str] = field(default_factory=Counter)
    empty: list[str] = field(default_factory=list)
    shown: list[dict[str, Any]] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    calls: int = 0
    seconds: float = 0.0


def trial(source: Source, declared: Entity, level: Level, url: str | None) -> Trial:
    """Read some records of an entity. ``url`` is the warehouse that is asked, if one is.

    Raises ``NotConfigured``, and whatever ``fetch`` raises.
    """
    source.require_settings()
    entity = source.configured(declared)
    found, began = Trial(entity=entity), time.monotonic()
    with contextlib.ExitStack() as opened:
        stored = opened.enter_context(_looking(url, entity, found)) if url else None
        known: Known = opened.enter_context(WarehouseReader(url)) if url and stored else _OfVendor(source)
        cancelled = threading.Event()
        context = ReadContext(known=known, acquire=ProcessBudget(cancelled).acquire, cancelled=cancelled)
        reading = EntityRead(_request(source, entity, level), context, safety_limit=settings().warehouse_safety_limit)
        coercer = Coercer(source.name, entity)
        try:
            _read(source, reading, coercer, stored, found)
        finally:
            cancelled.set()
    found.read, found.calls, found.seconds = coercer.read, context.calls, time.monotonic() - began
    found.warnings, found.lost = coercer.warnings, +coercer.lost
    found.empty = sorted(name for name in entity.columns if not coercer.filled[name]) if found.good else []
    if level.is_recent and not entity.cursor:
        found.remarks.append("it has no cursor, so these are the first records and not the recent ones")
    if reading.endless:
        found.remarks.append("it was given up at the safety limit")
    return found


def _request(source: Source, entity: Entity, level: Level) -> ReadRequest:
    now = datetime.now(UTC)
    window = Window(now - DAYS if level.is_recent and entity.cursor else None, now + entity.cadence.lookahead)
    page = entity.page_size or source.page_size
    return ReadRequest(
        entity=entity,
        window=window,
        page_size=min(page, level.most or page),
        limit=level.most,
        options={"full": window.since is None, "force": False, "backfill": False},
    )


def _read(source: Source, reading: EntityRead, coercer: Coercer, stored: "_Stored | None", found: Trial) -> None:
    since, cursor = reading.request.window.since, reading.request.entity.cursor
    for records, in_window in reading.batches(source.fetch):
        table = coercer.table(records)
        for reject in coercer.take_rejects():
            found.rejects[f"{reject.stage} {reject.rule}"] += 1
        if since and cursor and in_window:
            kept = table.filter(pc.fill_null(pc.greater_equal(table[cursor], pa.scalar(since)), True))
            found.filtered += table.num_rows - kept.num_rows
            table = kept
        found.good += table.num_rows
        if not found.shown:
            found.shown = sample.rows(reading.request.entity, table, 3)
        if stored and table.num_rows:
            stored.compare(table, found)


class _OfVendor(NothingKnown):
    """Keys of parents, read from the vendor; there is no warehouse."""

    def __init__(self, source: Source) -> None:
        self._source = source

    def keys(self, table: str) -> Iterator[str]:
        """Yield the keys of the first records of ``table``."""
        parent = next((entity for entity in self._source.entities if entity.table == table), None)
        if parent is None:
            return
        entity = self._source.configured(parent)
        request = ReadRequest(
            entity=entity, window=Window(None, datetime.now(UTC)), page_size=PARENTS, limit=PARENTS,
            options={"full": True, "force": False, "backfill": False},
        )  # fmt: skip
        coercer = Coercer(self._source.name, entity)
        for records, _ in EntityRead(request, ReadContext(known=self)).batches(self._source.fetch):
            yield from map(str, coercer.table(records)[entity.keys[0]].to_pylist())


class _Stored:
    """Compares records with the stored rows, in a transaction that may only read."""

    def __init__(self, session: "Session", entity: Entity) -> None:
        self._session, self._entity = session, entity

    def compare(self, table: pa.Table, found: Trial) -> None:
        """Count which of the records are new and which differ from what is stored."""
        keys: Sequence[str] = self._entity.keys
        arrays = sql.SQL(", ").join([sql.SQL("%s::text[]")] * (len(keys) + 1))
        names = sql.SQL(", ").join([*map(sql.Identifier, keys), sql.Identifier("raw_data")])
        types = {key: sql.SQL(self._entity.pg_types[key].split(" ")[0]) for key in keys}
        same = sql.SQL(" AND ").join(
            sql.SQL("t.{0} = i.{0}::{1}").format(sql.Identifier(key), types[key]) for key in keys
        )
        [row] = self._session.execute(
            sql.SQL("""
                SELECT count(*) FILTER (WHERE t.raw_data IS NULL) AS new,
                    count(*) FILTER (WHERE t.sync_hash = hashtextextended(i.raw_data, {seed})) AS unchanged,
                    count(*) AS records
                FROM unnest({arrays}) AS i ({names}) LEFT JOIN {table} AS t ON {same}
            """).format(
                seed=self._entity.hash_seed, arrays=arrays, names=names, same=same,
                table=self._entity.identifier,
            ),
            [*([str(value) for value in table[key].to_pylist()] for key in keys), table["raw_data"].to_pylist()],
        )  # fmt: skip
        found.new = (found.new or 0) + row["new"]
        found.unchanged = (found.unchanged or 0) + row["unchanged"]
        found.changed = (found.changed or 0) + row["records"] - row["new"] - row["unchanged"]


@contextlib.contextmanager
def _looking(url: str, entity: Entity, found: Trial) -> Iterator[_Stored | None]:
    """Lend what compares; None, with a remark, where the warehouse does not answer or lacks the table."""
    try:
        session = warehouse.connect(url, application_name="warehouse-trial")
    except DatabaseUnavailable:
        found.remarks.append("the warehouse does not answer, so what is new to it is not told")
        yield None
        return
    with session:
        session.execute("SET default_transaction_read_only = on")
        session.execute("SET statement_timeout = '60s'")
        if warehouse.has_table(session, entity.identifier.as_string()):
            yield _Stored(session, entity)
            return
        found.remarks.append("the warehouse has no such table; run `warehouse migrate`")
        yield None

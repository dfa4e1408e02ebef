"""One entity, its simulated vendor and a warehouse: what most tests of a source need.

A new source needs a driver in ``drivers``; a failing test names it until it has one.
"""

import atexit
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import msgspec
import psycopg
import pytest
from psycopg import sql
from psycopg.rows import dict_row, tuple_row
from psycopg.types.json import set_json_loads

from warehouse_pipelines.errors import WarehouseError
from warehouse_pipelines.loading.mirroring import MIRROR
from warehouse_pipelines.loading.options import Options, Result
from warehouse_pipelines.loading.replay import replay
from warehouse_pipelines.loading.sync import sync
from warehouse_pipelines.model.entity import Entity
from warehouse_pipelines.model.source import Source
from warehouse_pipelines.simulators.registry import lacking
from warehouse_pipelines.simulators.server import Simulators, start
from warehouse_pipelines.sources import SOURCES
from warehouse_pipelines_tests.conftest import missing
from warehouse_pipelines_tests.harness.drivers.driver import Key, driver_of

BY_TABLE = {entity.table: (source, entity) for source in SOURCES for entity in source.entities}


class SourceHarness:
    """An entity, its vendor as a driver sees it, and a warehouse to load it into."""

    def __init__(self, source: Source, entity: Entity, simulators: Simulators, url: str) -> None:
        self.source, self.entity, self.simulators, self.url = source, entity, simulators, url
        self.simulator: Any = simulators.named(source.name)
        self.driver = driver_of(source.name)(self.simulator)

    def sync(
        self, *, source: Source | None = None, entity: Entity | None = None, progress: Any = None, **flags: Any
    ) -> Result:
        """Run one sync with these flags; ``purpose`` and ``run_id`` are passed on."""
        more: dict[str, Any] = {name: flags.pop(name) for name in ("purpose", "run_id") if name in flags}
        if progress:
            more["progress"] = progress
        return sync(source or self.source, entity or self.entity, Options(**flags), url=self.url, **more)

    def query(self, statement: str, *values: Any) -> list[dict[str, Any]]:
        return looking(self.url).execute(statement, values).fetchall()

    def execute(self, statement: str, *values: Any) -> None:
        """Run a statement, in a mirrored table as the sync does, which alone may change its rows."""
        session = looking(self.url)
        with session.transaction() if self.source.mirrored else nullcontext():
            if self.source.mirrored:
                session.execute(MIRROR)
            session.execute(statement, values)

    def rows(self, entity: Entity | None = None) -> dict[Key, dict[str, Any]]:
        """Every row by its key, with the transaction that wrote it (``xmin``)."""
        return rows(self.url, entity or self.entity)

    def living(self) -> set[Key]:
        return {key for key, row in self.rows().items() if not row["archived"]}

    def history(self) -> list[dict[str, Any]]:
        """The history rows of the entity, oldest first."""
        return history(self.url, self.source, self.entity)

    def dead_letters(self, status: str = "pending") -> list[dict[str, Any]]:
        return self.query("SELECT * FROM orchestration.dead_letter WHERE status = %s ORDER BY id", status)

    def with_entity(self, **changes: Any) -> tuple[Source, Entity]:
        """Return the source with this entity declared otherwise."""
        changed = replace(self.entity, **changes)
        entities = tuple(changed if one is self.entity else one for one in self.source.entities)
        return replace(self.source, entities=entities), changed


_kept: dict[str, "psycopg.Connection[dict[str, Any]]"] = {}


@atexit.register
def _close_kept() -> None:
    for connection in _kept.values():
        connection.close()


def looking(url: str) -> "psycopg.Connection[dict[str, Any]]":
    """Return the session that looks into a database, which commits by itself; kept, since most tests look often."""
    try:
        _kept[url].execute("")
    except (KeyError, psycopg.OperationalError):
        for former in _kept.values():
            former.close()
        _kept.clear()
        _kept[url] = psycopg.connect(
            url,
            autocommit=True,
            row_factory=dict_row,
            options="-c TimeZone=UTC",
            application_name="a test that looks on",
        )
        set_json_loads(msgspec.json.decode, _kept[url])
    return _kept[url]


@contextmanager
def asking(url: str) -> "Iterator[psycopg.Connection[Any]]":
    """Lend the session of ``looking``, with rows as tuples; what the block sets is reset."""
    session: psycopg.Connection[Any] = looking(url)
    before, session.row_factory = session.row_factory, tuple_row
    try:
        yield session
    finally:
        session.row_factory = before
        if not session.closed:
            session.execute("RESET ALL")


def has_table(url: str, table: str) -> bool:
    """Return whether a database has a table."""
    (found,) = looking(url).execute("SELECT to_regclass(%s) IS NOT NULL AS there", [table]).fetchall()
    return bool(found["there"])


def rows(url: str, entity: Entity) -> dict[Key, dict[str, Any]]:
    """Return every row of a table by its key, with the transaction that wrote it."""
    statement = sql.SQL("SELECT *, xmin::text FROM {}").format(sql.Identifier(entity.schema, entity.table_name))
    found = looking(url).execute(statement).fetchall()
    return {tuple(str(row[key]) for key in entity.keys): row for row in found}


def history(url: str, source: Source, entity: Entity) -> list[dict[str, Any]]:
    """Return the history rows of an entity, oldest first."""
    wanted = "SELECT * FROM orchestration.sync_history WHERE crm_source = %s AND sync_type = %s ORDER BY id"
    return looking(url).execute(wanted, [source.name, entity.name]).fetchall()


def replayed(sources: Sequence[Source], url: str, **which: Any) -> list[Result]:
    """Load the pending dead letters of these sources again; raise the first error by which a run failed."""
    done = []
    for _, _, came in replay(sources, url=url, **which):
        if isinstance(came, WarehouseError):
            raise came
        done.append(came)
    return done


@contextmanager
def source_harness(
    table: str, url: str, patch: pytest.MonkeyPatch, *, contacts: int = 60, **settings: Any
) -> Iterator[SourceHarness]:
    """Serve the vendor of ``table`` and yield its harness; ``settings`` are the simulator's."""
    source, entity = BY_TABLE[table]
    with serve_vendor(source.name, patch, settings, contacts=contacts, retry_seconds="0.01") as simulators:
        yield SourceHarness(source, entity, simulators, url)


@contextmanager
def serve_vendor(
    name: str,
    patch: pytest.MonkeyPatch,
    settings: Mapping[str, Any] = MappingProxyType({}),
    *,
    contacts: int = 60,
    retry_seconds: str = "0",
) -> Iterator[Simulators]:
    """Serve one vendor and point its settings at the simulator; skip the test where it cannot be simulated."""
    for what in lacking((name,)).values():
        missing(what)
    vendors: dict[str, Any] = {name: settings}
    with start((name,), contacts=contacts, **vendors) as simulators:
        for setting, value in simulators.environment().items():
            patch.setenv(setting, value)
        patch.setenv("WAREHOUSE_RETRY_SECONDS", retry_seconds)
        yield simulators

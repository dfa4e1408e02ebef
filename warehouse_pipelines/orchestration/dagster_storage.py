"""Dagster's storage in PostgreSQL, at the URL that the settings say when it is opened.

The ``dagster.yaml`` of ``DAGSTER_HOME`` names this class, so no URL and no password stand in it, every program of
Dagster's finds the storage without a setting of its own, and the embedded server is started by whoever comes first.

A process keeps its connections, whatever the number of its instances: Dagster opens an instance for each tick, and
``dagster-postgres`` a connection for each statement, with three looks at the catalog before. A tick that finds nothing
to do took most of its time for that.

Events that nobody reads are not stored (``UNREAD``), and none is notified: Dagster's own programs poll, and its storage
says that NOTIFY is for older versions of them.
"""

import functools
import os
import select
import time
from collections.abc import Callable, Mapping
from typing import Any

import dagster as dg
import sqlalchemy as sa
from dagster._core.events import ASSET_CHECK_EVENTS, ASSET_EVENTS, DagsterEventType
from dagster._core.events.log import EventLogEntry
from dagster._core.storage.event_log.sqlite import sqlite_event_log
from dagster._core.storage.runs.sqlite import sqlite_run_storage
from dagster._core.storage.schedules.sqlite import sqlite_schedule_storage
from dagster._serdes import ConfigurableClassData
from dagster_postgres import DagsterPostgresStorage, PostgresEventLogStorage
from dagster_postgres.utils import create_pg_connection

from warehouse_pipelines.errors import NotConfigured
from warehouse_pipelines.local import dagster_home
from warehouse_pipelines.orchestration import daemon_pace, daemon_retries

KEPT, MORE = 5, 20
"""Connections that a process keeps, and how many more it may open for a moment."""

OLDEST_SECONDS = 600

UNCHECKED_SECONDS = 60.0
"""A connection that was used so recently, and that the server has not ended, is lent without asking it."""

UNREAD = {
    DagsterEventType.STEP_INPUT,
    DagsterEventType.LOADED_INPUT,
    DagsterEventType.HANDLED_OUTPUT,
    DagsterEventType.RESOURCE_INIT_STARTED,
    DagsterEventType.RESOURCE_INIT_SUCCESS,
}
"""Events that are not stored. Neither a page of the UI nor a retry needs them, and each sync has several: an asset
says by its materialization what the IO manager did, and a resource that cannot be made by its failure."""

LOOKED_FOR = ("runs", "instance_info", "event_logs", "jobs", "instigators", "secondary_indexes")
"""The tables by which Dagster tells whether its storage was made, and how old it is."""


class EventLog(PostgresEventLogStorage):
    """The event log of ``dagster-postgres``, without ``UNREAD`` events and notifications."""

    def store_event(self, event: EventLogEntry) -> None:
        """Do as ``PostgresEventLogStorage.store_event``, in one statement less."""
        kind = event.dagster_event_type
        if kind in UNREAD:
            return
        insert: Any = self.prepare_insert_event(event)
        with self._connect() as connection:
            event_id = int(connection.execute(insert.returning(insert.table.c.id)).scalar_one())
        if kind in ASSET_EVENTS and event.get_dagster_event().asset_key:
            with self.index_transaction() as connection:
                self._store_asset_event_tags(connection, [event], [event_id])
                self._store_asset_event(connection, event, event_id)
        if kind in ASSET_CHECK_EVENTS:
            self.store_asset_check_event(event, event_id)


class Storage(DagsterPostgresStorage):
    """``dagster-postgres``, configured by ``dagster_home.storage_url``."""

    def __init__(self, postgres_url: str, **given: Any) -> None:
        super().__init__(postgres_url, **given)
        self._event_log_storage = EventLog(postgres_url, self.should_autocreate_tables)

    @classmethod
    def config_type(cls) -> dict[str, Any]:
        """Return the schema: there is nothing to configure."""
        return {}

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]) -> "Storage":
        """Open the storage. Raises ``NotConfigured`` when the settings ask for SQLite since the file was written."""
        url = dagster_home.storage_url()
        if url is None:
            raise NotConfigured(
                "DAGSTER_STORAGE_URL is sqlite, and the dagster.yaml in DAGSTER_HOME was written before that; "
                "`python -m warehouse_pipelines.local.dagster_home` writes it anew."
            )
        # With its driver: SQLAlchemy 2.1 takes a bare postgresql:// for another one than dagster-postgres needs.
        url = url.replace("postgresql://", "postgresql+psycopg2://", 1)
        engine = _engine(os.getpid(), url)
        made = _is_made(engine)
        storage = cls(url, should_autocreate_tables=not made, inst_data=inst_data)
        parts: tuple[Any, ...] = (storage.run_storage, storage.event_log_storage, storage.schedule_storage)
        for part in parts:
            part._engine = engine
        if made:  # else Dagster lists tables or columns for each asset event, and each look at a sensor or at runs
            runs, events, ticks = parts
            ticks._has_instigators_table = lambda connection: True
            ticks.has_secondary_index_table = lambda: True
            runs.has_run_stats_index_cols = lambda: True
            ticks.has_built_index = _remembered(engine, ticks.has_built_index)
            events.has_table = _remembered(engine, events.has_table)
            events.has_asset_key_col = lambda name: True
            events._has_asset_key_col_on_connection = lambda connection, name: True
            events.__dict__["has_default_pool_limit_col"] = True
        daemon_pace.slow_down()
        daemon_retries.retry_until_done()
        return storage


def _is_made(engine: sa.Engine) -> bool:
    """Return whether the tables are there. Asked each time, as the database may have been dropped and made anew."""
    with create_pg_connection(engine) as connection:
        asked = {"names": [*LOOKED_FOR]}
        found = connection.execute(sa.text("SELECT count(to_regclass(name)) FROM unnest(:names) AS name"), asked)
        return bool(found.scalar_one() == len(LOOKED_FOR))


@functools.lru_cache(maxsize=1)
def _engine(process: int, url: str) -> sa.Engine:
    """Return the engine of a storage in this process; a fork has its own.

    Only the last one is kept, and the connections of another end with the last instance that has it.
    """
    engine = sa.create_engine(
        url, isolation_level="AUTOCOMMIT", pool_size=KEPT, max_overflow=MORE, pool_recycle=OLDEST_SECONDS
    )

    @sa.event.listens_for(engine, "checkin")
    def used(_connection: Any, record: Any) -> None:
        record.info["used"] = time.monotonic()

    @sa.event.listens_for(engine, "checkout")
    def check(connection: Any, record: Any, _proxy: Any) -> None:
        """Do as ``pool_pre_ping``, which asks the server before each statement, but only if there is a reason."""
        quiet = time.monotonic() - record.info.get("used", time.monotonic())
        if quiet < UNCHECKED_SECONDS and not _has_data(connection.fileno()):
            return
        try:
            engine.dialect.do_ping(connection)
        except engine.dialect.loaded_dbapi.Error as error:
            raise sa.exc.DisconnectionError from error

    return engine


def _remembered(engine: sa.Engine, is_there: Callable[[str], bool]) -> Callable[[str], bool]:
    """Return ``is_there``, asked once in a process for each table or index that is there."""
    found: set[str] = engine.__dict__.setdefault("_found", set())

    def has(name: str) -> bool:
        if name not in found and is_there(name):
            found.add(name)
        return name in found

    return has


def _has_data(socket: int) -> bool:
    """Return whether the server sent something that nobody asked for: that it ends the session."""
    poll = select.poll()
    poll.register(socket, select.POLLIN)
    return bool(poll.poll(0))


def keep_engines() -> None:
    """Let Dagster's storages in SQLite make one engine for each file, and not one for each statement.

    An engine compiles a statement once. Made anew it took a quarter of what Dagster itself takes for a run: 0.4 s of
    the processor for eight assets.
    """
    modules: tuple[Any, ...] = (sqlite_event_log, sqlite_run_storage, sqlite_schedule_storage)
    for module in modules:
        module.create_engine = _file_engine


def _file_engine(url: str, *, poolclass: Any, connect_args: Mapping[str, Any] | None = None) -> sa.Engine:
    return _kept_file_engine(url, poolclass, tuple((connect_args or {}).items()))


@functools.lru_cache(maxsize=16)
def _kept_file_engine(url: str, pool: Any, connect_args: tuple[tuple[str, Any], ...]) -> sa.Engine:
    """Return the engine of a file. It keeps no connection, so a fork may use it too; each run has a file of its own."""
    return sa.create_engine(url, poolclass=pool, connect_args=dict(connect_args))


def keep_connections(instance: dg.DagsterInstance) -> None:
    """Let the storage of a process that writes many events keep its connections, if it is not a ``Storage``.

    Dagster opens one for each statement otherwise, as it cannot know how many instances a process has; what its own
    webserver does about that is what is done here, without its limit on the time of a statement. On SQLite it opens a
    file, and keeps what ``keep_engines`` says.

    Whether a table is there is asked once: Dagster asks for each materialization, and opens a connection for it.
    """
    keep_engines()
    storage: Any = instance.event_log_storage
    if isinstance(getattr(getattr(storage, "_engine", None), "pool", None), sa.NullPool):
        instance.optimize_for_webserver(statement_timeout=0, pool_recycle=OLDEST_SECONDS, max_overflow=MORE)
    storage.has_table = functools.cache(storage.has_table)

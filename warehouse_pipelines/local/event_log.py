"""Dagster's event log in SQLite, with its connections kept.

Dagster opens a database of its event log anew for every event: it builds an engine, connects, compiles the statement,
commits, and closes, which also makes SQLite write its log back. Kept open, an event costs half the processor time and
half the seconds, and events are most of what a run without news costs (figures in ``benchmarks/README.md``). The files
are the same, so either class may read and write what the other did.

Nor is a commit waited for until it is on the disk: after a power cut the log may lack its last events, and is whole.
What a sync did stands in ``orchestration.sync_history``, and there every commit is on the disk.

``dagster_home`` names this class in the ``dagster.yaml`` that it writes. ``_connect`` is the one private method of
Dagster that it replaces; ``test_event_log`` says when a new version calls it otherwise.
"""

import contextlib
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from dagster._core.storage.event_log import SqliteEventLogStorage
from dagster._core.storage.sqlite import SQLITE_BUSY_TIMEOUT_SECONDS
from dagster._serdes import ConfigurableClassData
from sqlalchemy.pool import QueuePool

KEPT = 8
"""Databases that stay open: the index of all runs, and those of the last runs; each is two or three open files."""


class EventLog(SqliteEventLogStorage):
    """The event log of a ``DAGSTER_HOME`` on SQLite."""

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        self._engines: OrderedDict[str, sa.Engine] = OrderedDict()
        super().__init__(base_dir, inst_data)

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]) -> "EventLog":
        """Make the log that the configuration describes."""
        return cls(config_value["base_dir"], inst_data)

    @contextlib.contextmanager
    def _connect(self, shard: str) -> Iterator[sa.Connection]:
        """Lend the connection of a database for a transaction; one user at a time, as Dagster has it."""
        with self._db_lock:
            engine = self._engine(shard)
            if shard not in self._initialized_dbs:
                self._initdb(engine)
                self._initialized_dbs.add(shard)
            with engine.begin() as connection:
                yield connection

    def _engine(self, shard: str) -> sa.Engine:
        if shard not in self._engines:
            if len(self._engines) >= KEPT:
                self._engines.popitem(last=False)[1].dispose()
            engine = sa.create_engine(
                self.conn_string_for_shard(shard),
                poolclass=QueuePool,
                pool_size=1,
                connect_args={"timeout": SQLITE_BUSY_TIMEOUT_SECONDS, "check_same_thread": False},
            )
            sa.event.listen(engine, "connect", lambda opened, _: opened.execute("PRAGMA synchronous = NORMAL"))
            self._engines[shard] = engine
        self._engines.move_to_end(shard)
        return self._engines[shard]

    def delete_events(self, run_id: str) -> None:
        """Delete the events of a run and the file that held them, which Dagster leaves there empty."""
        super().delete_events(run_id)
        with self._db_lock:
            if run_id in self._engines:
                self._engines.pop(run_id).dispose()
            self._initialized_dbs.discard(run_id)
            for suffix in ("", "-wal", "-shm", "-journal"):
                Path(self.path_for_shard(run_id) + suffix).unlink(missing_ok=True)

    def wipe(self) -> None:
        """Delete the log and its files."""
        self._close()
        super().wipe()
        self._close()

    def dispose(self) -> None:
        """Close what is open."""
        super().dispose()
        self._close()

    def _close(self) -> None:
        with self._db_lock:
            while self._engines:
                self._engines.popitem()[1].dispose()

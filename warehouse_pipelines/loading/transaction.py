"""The one transaction of a run: an ADBC session, its settings, and the statements that are sent in it.

``Transaction`` opens it; ``run``, ``row`` and ``number`` send a statement and raise our own errors. Who must tell bad
data from a broken database catches ``adbc_driver_manager.Error`` of ``cursor`` and asks ``is_about_data``.

The session commits by itself, as ADBC sees it, and sends BEGIN and COMMIT as statements: ADBC's own transactions cannot
go back to a savepoint.
"""

import contextlib
import threading
from collections.abc import Sequence
from typing import Any

import adbc_driver_manager
import pyarrow as pa
from adbc_driver_postgresql import dbapi
from psycopg import sql

from warehouse_pipelines import warehouse
from warehouse_pipelines.loading.load_errors import DATA_ERRORS, sqlstate, translate_error

SETTINGS = {
    "temp_buffers": "64MB", "work_mem": "64MB", "jit": "off", "TimeZone": "UTC",
    "enable_seqscan": "off", "enable_hashjoin": "off", "enable_mergejoin": "off",
    "enable_sort": "off", "enable_incremental_sort": "off", "plan_cache_mode": "force_generic_plan",
}  # fmt: skip
"""Of the transaction. The planner has no statistics of a growing table: it is told to look up keys by index."""

_QUICKEST_COMPRESSION = sql.SQL(
    "SELECT set_config(name, 'lz4', true) FROM pg_settings"
    " WHERE name = 'default_toast_compression' AND 'lz4' = ANY (enumvals)"
)
"""Of the transaction and not of the columns: a dump must not ask for lz4 of a server that was built without it."""

_databases: dict[str, dbapi.Connection] = {}
_databases_lock = threading.Lock()


class Transaction:
    """An open transaction that loads ``table``; ``close`` without ``commit`` rolls it back."""

    def __init__(self, url: str, table: str) -> None:
        """Connect and begin. Raises ``DatabaseUnavailable``."""
        self.table = table
        self._ending = threading.Lock()
        try:
            self._connection = _connect(url)
            self.cursor = self._connection.cursor()
        except adbc_driver_manager.Error as error:
            raise warehouse.unavailable(error) from error
        self.run("BEGIN")
        settings = [sql.SQL("set_config({}, {}, true)").format(*setting) for setting in SETTINGS.items()]
        self.row(sql.SQL("SELECT {}, ({})").format(sql.SQL(", ").join(settings), _QUICKEST_COMPRESSION))

    def run(self, statement: str | sql.Composable) -> None:
        """Send a statement. Raises ``ActionNeeded`` or ``DatabaseUnavailable``."""
        try:
            self.cursor.execute(statement if isinstance(statement, str) else statement.as_string())
        except adbc_driver_manager.Error as error:
            raise self.translated(error) from error

    def row(self, statement: sql.Composable) -> tuple[Any, ...]:
        """Send a statement and return the first row of its result. Raises as ``run`` does."""
        self.run(statement)
        row: tuple[Any, ...] = self.cursor.fetchone()
        return row

    def number(self, statement: sql.Composable) -> int:
        """Send a statement and return the one number of its result. Raises as ``run`` does."""
        return int(self.row(statement)[0])

    def create_temp_table(self, name: str, columns: Sequence[sql.Composable]) -> None:
        """Create a table that the end of the transaction drops. Raises as ``run`` does."""
        self.run(
            sql.SQL("CREATE TEMP TABLE {} ({}) WITH (toast_tuple_target = 8160) ON COMMIT DROP").format(
                sql.Identifier(name), sql.SQL(", ").join(columns)
            )
        )

    def ingest(self, name: str, table: pa.Table) -> None:
        """Append an Arrow table to a temporary one. Raises the driver's own error, which may be about the data."""
        self.cursor.adbc_ingest(name, table, mode="append", temporary=True)

    def is_about_data(self, error: adbc_driver_manager.Error, savepoint: str) -> bool:
        """Return True if the records caused the error. One without a SQLSTATE did, if the session still answers."""
        if code := sqlstate(error):
            return code[:2] in DATA_ERRORS
        try:
            self.cursor.execute(f"ROLLBACK TO SAVEPOINT {savepoint}")
        except adbc_driver_manager.Error:
            return False
        return True

    def translated(self, error: adbc_driver_manager.Error) -> Exception:
        """Return our error for one of the driver that says nothing about the data."""
        return translate_error(error, self.table)

    def cancel(self) -> None:
        """End the statement that another thread waits for, if there is one.

        Not while that thread closes the session: ADBC would use what is being freed, and the process crash.
        """
        with self._ending, contextlib.suppress(adbc_driver_manager.Error):
            self.cursor.adbc_cancel()

    def close(self) -> None:
        """End the session, which rolls back what was not committed."""
        with self._ending:
            for open_one in (self.cursor, self._connection):
                with contextlib.suppress(adbc_driver_manager.Error):
                    open_one.close()


def _connect(url: str) -> dbapi.Connection:
    """Return a session of the warehouse.

    Of the 45 ms that ADBC takes to connect, 40 go into the catalogue of types, which it reads for each database. So
    one database is kept for each URL, in a connection whose own session is closed, and sessions are cloned from it.
    """
    with _databases_lock:
        if url not in _databases:
            database = dbapi.connect(warehouse.with_parameters(url, "warehouse-loader"), autocommit=True)
            database.adbc_connection.close()
            for other in _databases.values():  # a process loads one warehouse, but for tests
                other.close()
            _databases.clear()
            _databases[url] = database
        session = _databases[url].adbc_clone()
    session.adbc_connection.set_autocommit(True)
    return session

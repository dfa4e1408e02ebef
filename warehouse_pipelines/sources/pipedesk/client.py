"""The PostgreSQL conversation with PipeDesk: a snapshot, its settings, and the meaning of its errors.

A session is one snapshot, REPEATABLE READ and READ ONLY. A run has one, or one for each range of a long table: no key
moves from one range to another, so each row is in the snapshot of its range. Nothing is set for longer than the
transaction and nothing is prepared, so poolers of both modes work. After a lost connection a new snapshot is taken; the
next run finds what was deleted in between.

**Row-level security** is on in the product's migrations: a role without BYPASSRLS sees no lead, and no deleted row
of another table, without an error. ``row_security = off`` makes PostgreSQL refuse instead of filter, and the error
says what to do. A permissive policy does not help: it cannot be told from one that filters.
"""

import contextlib
import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from warehouse_pipelines.errors import (
    AnswerChanged,
    CredentialRefused,
    NotConfigured,
    PermissionMissing,
    RequestRefused,
    VendorUnavailable,
    WarehouseError,
    masked,
)
from warehouse_pipelines.model.reading import ReadContext
from warehouse_pipelines.settings import postgresql_url
from warehouse_pipelines.sources._sql import SqlClient
from warehouse_pipelines.sources.pipedesk.settings import Settings

if TYPE_CHECKING:
    import psycopg
    from psycopg import sql

STATEMENT_SECONDS = 300

LOCAL = {
    "row_security": "off",
    "statement_timeout": f"{STATEMENT_SECONDS}s",
    "idle_in_transaction_session_timeout": f"{STATEMENT_SECONDS}s",
    # What a row looks like in JSON depends on these, and so does its hash.
    "timezone": "UTC",
    "datestyle": "ISO",
    "intervalstyle": "postgres",
    "extra_float_digits": "1",
    "bytea_output": "hex",
}
"""Settings of the transaction."""

TRANSIENT = re.compile(
    "08...|53...|"  # the connection; too many connections, no memory
    "40001|40P01|"  # a conflict with recovery on a replica, a deadlock
    "57014|57P0.|25P03|"  # the statement took too long; shut down, starting up, or idle for too long
    "55P03"  # a lock was waited for in vain
)
"""SQLSTATEs after which another attempt may help."""

REFUSED = {
    "28000": CredentialRefused, "28P01": CredentialRefused, "42501": PermissionMissing,
    "42P01": AnswerChanged, "42703": AnswerChanged, "3D000": AnswerChanged, "3F000": AnswerChanged,
}  # fmt: skip
"""SQLSTATEs that need a person."""

CONNECTION_REFUSED = (
    (r"password authentication failed|role .* does not exist|tenant or user not found|no password", CredentialRefused),
    (r"no pg_hba|not permitted to log in|permission denied", PermissionMissing),
    (r"database .* does not exist", AnswerChanged),
    (r"does not support SSL|certificate|SSL error", NotConfigured),
)
"""Messages of libpq for a failed connection, which has no SQLSTATE; anything else may pass by itself."""


class PipeDeskClient(SqlClient):
    """One read-only snapshot of the database, for one read."""

    title = "PipeDesk"

    def __init__(self, context: ReadContext) -> None:
        super().__init__(context)
        self.settings = Settings()
        self.snapshots = 0
        self._connection: psycopg.Connection[tuple[Any, ...]] | None = None

    def all(self, statement: "sql.SQL | sql.Composed", values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Return all rows of a statement, which is repeated after an error that may pass."""

        def ask() -> list[tuple[Any, ...]]:
            with self._waiting("query"):
                return list(self._connected().execute(statement, values or None))

        return self.retried(ask)

    def rows(
        self, statement: "sql.SQL | sql.Composed", values: Sequence[Any], size: int
    ) -> Iterator[list[tuple[Any, ...]]]:
        """Ask once, and yield the rows as they come, ``size`` at a time."""
        import psycopg

        cursor: psycopg.ServerCursor[tuple[Any, ...]] | None = None
        try:
            with self._waiting("cursor"):
                cursor = self._connected().cursor(name="rows")
                cursor.execute(statement, values or None)
            while True:
                with self._waiting("rows"):
                    found = cursor.fetchmany(size)
                if not found:
                    break
                yield found
        finally:
            if cursor is not None:
                with contextlib.suppress(psycopg.Error):
                    cursor.close()

    @contextlib.contextmanager
    def _waiting(self, what: str) -> Iterator[None]:
        """Count a request and the time it takes; raise the translated error."""
        with self.context.waiting(calls=1), self.context.pace.timed(what, VendorUnavailable), self._translated():
            yield

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        """End the session on an error of the driver, and raise the project's error for it."""
        import psycopg

        try:
            yield
        except psycopg.Error as error:
            self.close()
            raise translate_error(error, self.settings) from error

    def open(self) -> None:
        """Open the session if there is none."""
        with self._translated():
            self._connected()

    def close(self) -> None:
        """End the session."""
        if self._connection is not None:
            self._connection.close()
        self._connection = None

    def _connected(self) -> "psycopg.Connection[tuple[Any, ...]]":
        if self._connection is not None and not self._connection.closed:
            return self._connection
        import psycopg
        from psycopg import sql

        defaults: dict[str, Any] = {"connect_timeout": 20, "application_name": "warehouse", "keepalives_idle": 30}
        fixed: dict[str, Any] = {"client_encoding": "UTF8", "prepare_threshold": None}
        connection: psycopg.Connection[tuple[Any, ...]] = psycopg.connect(
            **(defaults | parameters(self.settings) | fixed)
        )
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        connection.read_only = True
        self._connection = connection
        self.snapshots += 1
        local = [sql.SQL("set_config({}, {}, true)").format(name, value) for name, value in LOCAL.items()]
        connection.execute(sql.SQL("SELECT {}").format(sql.SQL(", ").join(local)))
        return connection


def parameters(settings: Settings) -> dict[str, Any]:
    """Return the connection parameters of libpq, with TLS unless the server is this machine.

    Raises ``NotConfigured`` for a URL that libpq does not read.
    """
    import psycopg
    from psycopg.conninfo import conninfo_to_dict

    url = postgresql_url("PIPEDESK_DATABASE_URL", settings.database_url)
    try:
        found = conninfo_to_dict(url)
    except psycopg.ProgrammingError:  # it quotes what it does not understand
        raise NotConfigured(
            "PipeDesk: PIPEDESK_DATABASE_URL has an option behind its question mark that libpq does not know."
        ) from None
    hosts = str(found.get("host", "")).split(",")
    here = all(host in ("", "localhost", "::1") or host.startswith(("127.", "/")) for host in hosts)
    if not here and found.get("sslmode") not in ("require", "verify-ca", "verify-full"):
        found["sslmode"] = "require"
    return dict(found)


def translate_error(error: "psycopg.Error", settings: Settings) -> WarehouseError:
    """Return the project's error for one of the driver."""
    message = masked(" ".join(str(error).split()))
    state = error.sqlstate or ""
    if not state:
        for pattern, kind in CONNECTION_REFUSED:
            if re.search(pattern, message, re.IGNORECASE):
                return kind(f"PipeDesk: the database does not let us in: {message}. Check PIPEDESK_DATABASE_URL.")
        return VendorUnavailable(f"PipeDesk: the database does not answer, or broke off: {message}")
    if "row-level security" in message:
        user = str(parameters(settings).get("user")).partition(".")[0]  # a pooler wants role.project
        return PermissionMissing(
            f"PipeDesk: row-level security would hide rows from us ({message}). As a privileged role run "
            f"ALTER ROLE {user} BYPASSRLS on PipeDesk's database. Nothing was loaded."
        )
    if TRANSIENT.fullmatch(state):
        return VendorUnavailable(f"PipeDesk: the database says {state}: {message}")
    if state == "42501":
        message += ". It needs USAGE on the schema and SELECT on the tables"
    if REFUSED.get(state) is CredentialRefused:
        message += ". Set PIPEDESK_DATABASE_URL again, with the login that is valid now"
    return REFUSED.get(state, RequestRefused)(f"PipeDesk: the database says {state}: {message}. Nothing was loaded.")

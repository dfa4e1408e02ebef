"""Connect to the warehouse. Nothing else in the package opens a session of it, so all have the same parameters.

    with warehouse.session(url) as session:     # lent for the block, then kept for the next caller
        session.execute("SELECT ...")
        count = warehouse.value(session, "SELECT count(*) FROM ...")
    connection = warehouse.connect(url)         # of the caller's own, who closes it

ADBC, which takes a URL only, connects to ``with_parameters(url, ...)``.

Decided:

- ``session`` keeps what it lends, for each process: connecting took 15 ms on loopback on a busy machine, 10 of them
  processor time, and a step asks three to five times. To check a kept session took 0.06 ms, to clean it 0.07 ms.
- A session has one borrower at a time, so it may hold a lock or a transaction. It is kept only when the block ended
  without an error and outside of a transaction, and after ``DISCARD ALL``, which frees advisory locks and undoes SET.
- A session is checked before it is lent again; after a restart of the server none answers, and a new one is opened.
- A forked child has no session of its parent's. The sessions of one database are kept: a process has one warehouse.
- Not ``psycopg_pool``: it connects in threads of its own, so a caller learns that time is up and not what was wrong,
  and a fork leaves these threads behind.
"""

import atexit
import contextlib
import os
import re
import socket
import time
from collections import deque
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from warehouse_pipelines.errors import DatabaseUnavailable, masked

if TYPE_CHECKING:
    import psycopg
    from psycopg.abc import Params
    from psycopg.abc import QueryNoTemplate as Query

    Session = psycopg.Connection[dict[str, Any]]

PARAMETERS: dict[str, str | int] = {
    "connect_timeout": 10,
    "keepalives_idle": 60,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "options": "-c TimeZone=UTC -c tcp_keepalives_idle=60 -c tcp_keepalives_interval=10 -c tcp_keepalives_count=3"
    " -c client_connection_check_interval=5s",
}
"""Of every session. The server asks a silent client after a minute whether it is there: the locks of a lost machine are
free after 90 s and not after the two hours that TCP takes by itself. A statement whose client was killed ends after 5 s
with its locks, and not when it is done."""

KEPT = 4
"""Sessions that a process keeps at most: a run borrows three at a time."""

IDLE_SECONDS = 300.0
"""A session that nobody borrowed for so long is closed: a firewall may have forgotten it."""

END_SECONDS = 2.0
"""How long a session that is ended waits for the thread that is in a statement of it."""

_TOO_MANY = re.compile(
    r"too many (connections|clients)|remaining connection slots|no more connections|max clients", re.I
)
"""How PostgreSQL and poolers say 53300. libpq tells no SQLSTATE of a connection that was refused, only the sentence."""

_kept: dict[str, "deque[tuple[float, Session]]"] = {}
"""By URL, what can be lent, with the time it came back."""

_inherited: list[Any] = []
"""The parent's sessions in a forked child, which must not end them."""


def connect(url: str, *, application_name: str = "warehouse", **parameters: Any) -> "Session":
    """Return a session that commits each statement, speaks UTC and returns rows as dicts; the caller closes it.

    ``options`` of the URL come behind ours. ``parameters`` are those of ``psycopg.connect``.

    Raises ``DatabaseUnavailable``.
    """
    import psycopg
    from psycopg.conninfo import conninfo_to_dict
    from psycopg.rows import dict_row

    given: dict[str, Any] = PARAMETERS | {"application_name": application_name, "autocommit": True} | parameters
    try:
        if "options=" in url and (options := conninfo_to_dict(url).get("options")):
            given["options"] = f"{given['options']} {options}"
        return psycopg.connect(url, row_factory=dict_row, **given)
    except psycopg.OperationalError as error:
        raise unavailable(error) from error


async def connect_async(url: str, *, application_name: str = "warehouse") -> "psycopg.AsyncConnection[Any]":
    """Return a session as ``connect`` does, for a program of one thread; whose commit is on the disk when it returns.

    Raises ``DatabaseUnavailable``.
    """
    import psycopg

    options = f"{PARAMETERS['options']} -c synchronous_commit=on -c statement_timeout=4000"
    given: dict[str, Any] = {**PARAMETERS, "connect_timeout": 4, "options": options}
    try:
        return await psycopg.AsyncConnection.connect(url, autocommit=True, application_name=application_name, **given)
    except psycopg.OperationalError as error:
        raise unavailable(error) from error


def unavailable(error: Exception) -> DatabaseUnavailable:
    """Return the error for a driver's ``error`` that no session could be opened."""
    message = " ".join(masked(str(error)).split()).rstrip(".?")
    what_to_do = "Is PostgreSQL up, is WAREHOUSE_DATABASE_URL right?"
    if getattr(error, "sqlstate", None) == "53300" or _TOO_MANY.search(message):
        what_to_do = (
            "PostgreSQL allows no more sessions: set WAREHOUSE_PARTS_AT_A_TIME lower, let fewer programs run at a "
            "time, or raise max_connections or the CONNECTION LIMIT of the role or database (docs/deploy.md, Sessions)."
        )
    return DatabaseUnavailable(f"cannot connect to the warehouse: {message}. {what_to_do}")


def with_parameters(url: str, application_name: str) -> str:
    """Return ``url`` with the parameters of every session in it."""
    words = urlencode(PARAMETERS | {"application_name": application_name}, quote_via=quote)
    return f"{url}{'&' if '?' in url else '?'}{words}"


@contextlib.contextmanager
def session(url: str) -> "Iterator[Session]":
    """Lend a session as ``connect`` returns it. Raises ``DatabaseUnavailable``."""
    lent = _kept_one(url) or connect(url, prepare_threshold=None)  # DISCARD ALL would drop prepared statements
    try:
        yield lent
    except BaseException:
        end(lent)
        raise
    _take_back(url, lent)


def value(session: "Session", statement: "Query", parameters: "Params | None" = None) -> Any:
    """Return the only column of the first row that a statement returns; None where it returns no row.

    Raises ``ValueError`` where the row has other than one column.
    """
    row = session.execute(statement, parameters).fetchone()
    if row is None:
        return None
    (only,) = row.values()
    return only


def has_table(session: "Session", name: str) -> bool:
    """Return whether there is a table or view of this name: ``schema.table``, quoted where SQL needs it."""
    return bool(value(session, "SELECT to_regclass(%s) IS NOT NULL", [name]))


def end(session: "Session") -> None:
    """Close a session; a statement of it that another thread waits for fails, as when the connection is lost.

    That thread must have left the session before its memory is freed: it would go on with that of the next session that
    is opened, which then waits in vain for what the thread has read, or the process crashes. A thread that does not
    leave it within ``END_SECONDS`` keeps it.
    """
    if not session.lock.acquire(blocking=False):
        with contextlib.suppress(Exception), socket.socket(fileno=os.dup(session.fileno())) as connection:
            connection.shutdown(socket.SHUT_RDWR)
        if not session.lock.acquire(timeout=END_SECONDS):
            return
    try:
        session.close()
    finally:
        session.lock.release()


@contextlib.contextmanager
def try_lock(session: "Session", name: str) -> Iterator[bool]:
    """Hold PostgreSQL's advisory lock of this name for the block; yields False while another session holds it.

    The lock ends with the session too, so whoever is killed keeps nobody waiting. A session whose statement was
    interrupted is closed.
    """
    import psycopg

    free = bool(value(session, "SELECT pg_try_advisory_lock(hashtextextended(%s, 0))", [name]))
    try:
        yield free
    finally:
        if free and not session.closed:
            try:
                session.execute("SELECT pg_advisory_unlock(hashtextextended(%s, 0))", [name])
            except psycopg.Error:
                session.close()


def _kept_one(url: str) -> "Session | None":
    """Return a kept session that answers, if there is one."""
    import psycopg

    kept = _kept.get(url, deque())
    while True:
        try:
            since, found = kept.pop()
        except IndexError:
            return None
        try:
            if time.monotonic() - since < IDLE_SECONDS:
                found.execute("")
                return found
        except psycopg.Error:
            pass
        found.close()


def _take_back(url: str, lent: "Session") -> None:
    """Clean a session and keep it; close it when it cannot be cleaned, and those of another warehouse."""
    import psycopg
    from psycopg.pq import TransactionStatus

    if lent.closed or not lent.autocommit or lent.info.transaction_status != TransactionStatus.IDLE:
        lent.close()
        return
    try:
        lent.execute("DISCARD ALL")
    except psycopg.Error:
        lent.close()
        return
    for other in _kept.keys() - {url}:
        _close(_kept.pop(other, deque()))
    kept = _kept.setdefault(url, deque())
    if len(kept) < KEPT:
        kept.append((time.monotonic(), lent))
    else:
        lent.close()


def close_kept() -> None:
    """Close the sessions that this process keeps."""
    while _kept:
        _close(_kept.popitem()[1])


def _close(kept: "deque[tuple[float, Session]]") -> None:
    while kept:
        kept.pop()[1].close()


def _forget() -> None:
    """In a forked child: set aside what the parent keeps. To close it here would end the parent's sessions."""
    _inherited.append(dict(_kept))
    _kept.clear()


atexit.register(close_kept)
os.register_at_fork(after_in_child=_forget)

"""``orchestration.webhook_inbox`` for whoever works it off: take what is due, close it, try it again.

Of each source one session at a time works off what is read by key, and one what is read as a whole (``working``), by
advisory locks that end with the session: a vendor that is slow, or whose budget of requests is spent, holds up no
other, and a list holds up no record. A row that is done loses its body: its records have been read, and it may speak of
people. Closed rows are kept for some days (``loading.retention``), so that a repetition is known as one; HubSpot tries
for a day.
"""

import json
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from warehouse_pipelines import warehouse
from warehouse_pipelines.errors import masked
from warehouse_pipelines.queries import query

if TYPE_CHECKING:
    from psycopg import Cursor

    from warehouse_pipelines.warehouse import Session

MOST_TRIES = 8
"""After so many failed reads a delivery is given up; with their waits these take 40 minutes, and polls go on."""

FIRST_WAIT, LONGEST_WAIT = timedelta(seconds=10), timedelta(hours=1)

BUSY_SECONDS, LONGEST_BUSY_SECONDS = 3.0, 60.0
"""A row whose entity is being read waits for a tenth of the time since it came, within these: thousands that wait for a
load of hours would be looked at every few seconds."""


class Due(NamedTuple):
    """A delivery that may be worked off now."""

    id: int
    source: str
    headers: Mapping[str, str]
    body: str
    attempts: int
    received_at: datetime


def working(session: "Session", source: str, *, lists: bool = False) -> AbstractContextManager[bool]:
    """Yield whether this session may work off what a source delivered, by key or its ``lists``; another one may be."""
    return warehouse.try_lock(session, _lock(source, lists=lists))


def are_lists_read(session: "Session", source: str) -> bool:
    """Return whether a session reads lists of a source now. It takes no lock, which whoever begins would find taken."""
    return bool(warehouse.value(session, query("webhook_lists_read"), {"lock": _lock(source, lists=True)}))


def _lock(source: str, *, lists: bool) -> str:
    return f"webhook_inbox {source}{' lists' if lists else ''}"


def due(session: "Session", source: str, limit: int) -> list[Due]:
    """Return what a source delivered and may be worked off now; what has been due for longest comes first."""
    rows = session.execute(query("webhook_due"), {"source": source, "most": limit}).fetchall()
    return [Due(**row) for row in rows]


def count_due(session: "Session") -> dict[str, int]:
    """Return how many deliveries of each source may be worked off now."""
    return {row["source"]: row["deliveries"] for row in session.execute(query("webhook_count_due")).fetchall()}


def listen(session: "Session") -> None:
    """Have the session notified whenever ``serve`` has committed a delivery."""
    session.execute("LISTEN webhook_inbox")


def is_used(session: "Session") -> bool:
    """Return whether anything was delivered, as far as rows are kept."""
    return bool(warehouse.value(session, "SELECT EXISTS (SELECT FROM orchestration.webhook_inbox)"))


def close(session: "Session", rows: Mapping[int, datetime], status: str) -> int:
    """Close rows as ``done`` or ``ignored``, which were received at these times; those that came again stay.

    Returns how many were closed.
    """
    given = {"status": status, "ids": list(rows), "received": list(rows.values())}
    return _change(session, query("webhook_close"), given).rowcount


def fail(session: "Session", messages: Mapping[int, str], *, for_good: bool = False) -> int:
    """Count a failed try of each row, and have it wait; give up after the last one. Returns how many were given up."""
    given = [{"id": key, "message": masked(message, 500) or "unknown"} for key, message in messages.items()]
    how = {"longest": LONGEST_WAIT, "first": FIRST_WAIT, "most": MOST_TRIES, "last": for_good}
    rows = _change(session, query("webhook_fail"), {**how, "given": json.dumps(given)}).fetchall()
    return sum(row["status"] == "failed" for row in rows)


def wait(session: "Session", ids: Sequence[int], seconds: float, *, reason: str | None = None) -> None:
    """Have rows wait, without a try, for a ``reason`` that they keep."""
    if ids:
        how = {"seconds": seconds, "most": 0.0, "reason": reason}
        _change(session, query("webhook_wait"), {**how, "ids": list(ids)})


def wait_busy(session: "Session", ids: Sequence[int]) -> None:
    """Have rows wait whose entity is being read, those that came long ago for longer."""
    if ids:
        how = {"seconds": BUSY_SECONDS, "most": LONGEST_BUSY_SECONDS, "reason": None}
        _change(session, query("webhook_wait"), {**how, "ids": list(ids)})


def _change(session: "Session", statement: str, parameters: Mapping[str, Any]) -> "Cursor[dict[str, Any]]":
    """Execute a statement that updates rows, once more after a deadlock with whoever deletes what is old."""
    import psycopg

    try:
        return session.execute(statement, parameters)
    except psycopg.errors.DeadlockDetected:
        return session.execute(statement, parameters)


def refused(session: "Session", hours: int) -> list[dict[str, Any]]:
    """Return how many deliveries were refused within so many hours, by ``source`` and ``outcome``."""
    return session.execute(query("webhook_refused"), {"hours": hours}).fetchall()


def received(session: "Session", source: str, hours: int) -> dict[str, Any]:
    """Return of a source ``last_at``, the last delivery that was taken, how many are ``waiting``, and the counts of
    ``outcomes`` within so many hours.
    """
    [row] = session.execute(query("webhook_received"), {"source": source, "hours": hours})
    return row

"""``orchestration.webhook_inbox`` for whoever works it off: take what is due, close it, try it again.

One process at a time works it off (``working``), by an advisory lock that ends with its session. A row that is done
loses its body: its records have been read, and it may speak of people. Closed rows are kept for some days
(``loading.retention``), so that a repetition is known as one; HubSpot tries for a day.
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
    from warehouse_pipelines.warehouse import Session

MOST_TRIES = 8
"""After so many failed reads a delivery is given up; with their waits these take 40 minutes, and polls go on."""

FIRST_WAIT, LONGEST_WAIT = timedelta(seconds=10), timedelta(hours=1)


class Due(NamedTuple):
    """A delivery that may be worked off now."""

    id: int
    source: str
    headers: Mapping[str, str]
    body: str
    attempts: int
    received_at: datetime


def working(session: "Session") -> AbstractContextManager[bool]:
    """Yield whether this session may work the inbox off; another one may be doing so."""
    return warehouse.try_lock(session, "webhook_inbox")


def due(session: "Session", limit: int) -> list[Due]:
    """Return what may be worked off now, the oldest first."""
    return [Due(**row) for row in session.execute(query("webhook_due"), {"most": limit}).fetchall()]


def count_due(session: "Session", most: int) -> int:
    """Return how many may be worked off now, counting no further than ``most``."""
    row = session.execute(query("webhook_count_due"), {"most": most}).fetchone()
    return int(row["n"]) if row else 0


def listen(session: "Session") -> None:
    """Have the session notified whenever ``serve`` has committed a delivery."""
    session.execute("LISTEN webhook_inbox")


def is_used(session: "Session") -> bool:
    """Return whether anything was delivered, as far as rows are kept."""
    row = session.execute("SELECT EXISTS (SELECT FROM orchestration.webhook_inbox) AS used").fetchone()
    return bool(row and row["used"])


def close(session: "Session", ids: Sequence[int], status: str) -> None:
    """Close rows as ``done`` or ``ignored``."""
    session.execute(query("webhook_close"), {"status": status, "ids": list(ids)})


def fail(session: "Session", messages: Mapping[int, str], *, for_good: bool = False) -> int:
    """Count a failed try of each row, and have it wait; give up after the last one. Returns how many were given up."""
    given = [{"id": key, "message": masked(message, 500) or "unknown"} for key, message in messages.items()]
    how = {"longest": LONGEST_WAIT, "first": FIRST_WAIT, "most": MOST_TRIES, "last": for_good}
    rows = session.execute(query("webhook_fail"), {**how, "given": json.dumps(given)}).fetchall()
    return sum(row["status"] == "failed" for row in rows)


def wait(session: "Session", ids: Sequence[int], seconds: float) -> None:
    """Have rows wait, without a try: their entity is busy."""
    session.execute(query("webhook_wait"), {"seconds": seconds, "ids": list(ids)})


def refused(session: "Session", hours: int) -> list[dict[str, Any]]:
    """Return how many deliveries were refused within so many hours, by ``source`` and ``outcome``."""
    return session.execute(query("webhook_refused"), {"hours": hours}).fetchall()


def received(session: "Session", source: str, hours: int) -> dict[str, Any]:
    """Return of a source ``last_at``, the last delivery that was taken, how many are ``waiting``, and the counts of
    ``outcomes`` within so many hours.
    """
    row = session.execute(query("webhook_received"), {"source": source, "hours": hours}).fetchone()
    return row or {}

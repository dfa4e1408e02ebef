"""Commit deliveries to ``orchestration.webhook_inbox``, many at a time.

A commit waits for the disk, and at 500 deliveries a second there is no time for 500 waits. So what arrives while one
commit is under way goes into the next: one statement, one transaction. Commits begin ``PACE_SECONDS`` apart at least,
because a statement costs as much processor time as ten rows; a delivery that comes alone does not wait. ``put`` returns
when the row is committed, and not before, so an answer of 200 means that the delivery is kept whatever happens to this
process.

When the database is away, refuses (its disk is full) or does not answer in time, ``put`` raises ``InboxAway``; the
delivery may be in the table all the same, and the vendor's next try of it is then a duplicate. A row that the table
does not take fails alone.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from warehouse_pipelines import warehouse
from warehouse_pipelines.errors import DatabaseUnavailable
from warehouse_pipelines.queries import query

if TYPE_CHECKING:
    import psycopg

log = logging.getLogger("warehouse.webhooks")

LARGEST_GROUP = 500
PACE_SECONDS = 0.008
MOST_WAITING = 5_000
"""Deliveries that may wait for a commit; more are refused, so that a slow database does not fill the memory."""

SECONDS = 4.5
"""HubSpot gives up after five."""

LONGEST_SECONDS = 8.0
"""A session that is silent for longer is given up: a lost server would be noticed after a minute and a half."""

DEPTH_SECONDS = 1.0


class InboxAway(Exception):
    """The inbox cannot be written or asked now; the vendor should try again."""


class Unstorable(Exception):
    """The table does not take this row."""


class Kept(NamedTuple):
    """A delivery as it is kept; ``error`` says why one that cannot be read is ``failed`` from the start."""

    source: str
    dedupe_key: str
    event_ids: Sequence[str]
    headers: Mapping[str, str]
    body: str
    status: str = "pending"
    error: str = ""


class Inbox:
    """The writer of the inbox, with a session of its own; ``run`` must be running."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._session: psycopg.AsyncConnection[Any] | None = None
        self._lock = asyncio.Lock()
        self._waiting: list[tuple[Kept, asyncio.Future[bool]]] = []
        self._some = asyncio.Event()

    async def put(self, kept: Kept) -> bool:
        """Commit a delivery; return False when it was there already. Raises ``InboxAway`` and ``Unstorable``."""
        if len(self._waiting) >= MOST_WAITING:
            raise InboxAway(f"{MOST_WAITING} deliveries wait already")
        done: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiting.append((kept, done))
        self._some.set()
        try:
            return await asyncio.wait_for(done, SECONDS)
        except TimeoutError:
            raise InboxAway(f"not committed after {SECONDS} s") from None

    async def run(self) -> None:
        """Write what waits, until it is cancelled."""
        began = float("-inf")
        while True:
            await self._some.wait()
            if (early := began + PACE_SECONDS - time.monotonic()) > 0:
                await asyncio.sleep(early)
            began = time.monotonic()
            group, self._waiting = self._waiting[:LARGEST_GROUP], self._waiting[LARGEST_GROUP:]
            if not self._waiting:
                self._some.clear()
            group = [one for one in group if not one[1].done()]
            if group:
                await self._write(group)

    async def _write(self, group: "list[tuple[Kept, asyncio.Future[bool]]]") -> None:
        try:
            new = await self._insert([kept for kept, _ in group])
        except Unstorable as error:
            if len(group) == 1:
                _settle(group, error)
                return
            for one in group:
                await self._write([one])
        except Exception as error:
            if not isinstance(error, InboxAway):
                log.exception("the inbox of webhooks could not be written")
            _settle(group, InboxAway(str(error)))
        else:
            for kept, done in group:
                if not done.done():
                    done.set_result(kept.dedupe_key in new)
                new.discard(kept.dedupe_key)  # a second one of the same group is a duplicate

    async def _insert(self, rows: Sequence[Kept]) -> set[str]:
        parameters = {
            "sources": [row.source for row in rows],
            "keys": [row.dedupe_key for row in rows],
            "ids": [_json(row.event_ids) for row in rows],
            "headers": [_json(row.headers) for row in rows],
            "bodies": [row.body for row in rows],
            "statuses": [row.status for row in rows],
            "errors": [row.error for row in rows],
        }
        kept = await self.ask(query("webhook_receive"), parameters)
        return {key for key, waited, _ in kept if not waited}

    async def ask(self, statement: str, parameters: Mapping[str, Any] | None = None) -> list[tuple[Any, ...]]:
        """Return the rows of a statement, which is sent once more after a deadlock.

        Raises ``InboxAway``, and ``Unstorable`` for values that no row can have.
        """
        import psycopg

        async with self._lock:
            try:
                async with asyncio.timeout(LONGEST_SECONDS):
                    if self._session is None or self._session.closed:
                        self._session = await warehouse.connect_async(self._url, application_name="warehouse-serve")
                    try:
                        cursor = await self._session.execute(statement, parameters)
                    except psycopg.errors.DeadlockDetected:  # with whoever deletes what is old
                        cursor = await self._session.execute(statement, parameters)
                    return await cursor.fetchall()
            except (psycopg.DataError, psycopg.IntegrityError) as error:
                raise Unstorable(type(error).__name__) from error
            except (psycopg.Error, DatabaseUnavailable, OSError, TimeoutError) as error:
                log.warning("the inbox of webhooks is away: %s", type(error).__name__)
                await self._disconnect()
                raise InboxAway(type(error).__name__) from error

    async def _disconnect(self) -> None:
        if self._session is not None:
            with contextlib.suppress(Exception):
                await self._session.close()
            self._session = None

    async def close(self) -> None:
        """End the session."""
        async with self._lock:
            await self._disconnect()


class Depth:
    """How many deliveries wait, asked again when it is older than ``DEPTH_SECONDS``: anybody may ask for ``/health``,
    and deliveries wait for the session that it is asked of."""

    def __init__(self, inbox: Inbox) -> None:
        self._inbox, self._lock = inbox, asyncio.Lock()
        self._found, self._at = (0, 0.0), float("-inf")

    async def now(self) -> tuple[int, float]:
        """Return how many wait, and for how many seconds the oldest has. Raises ``InboxAway``."""
        async with self._lock:
            if time.monotonic() - self._at > DEPTH_SECONDS:
                [(pending, oldest_seconds)] = await self._inbox.ask(query("webhook_depth"))
                self._found, self._at = (pending, oldest_seconds), time.monotonic()
            return self._found


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _settle(group: "list[tuple[Kept, asyncio.Future[bool]]]", error: Exception) -> None:
    for _, done in group:
        if not done.done():
            done.set_exception(error)

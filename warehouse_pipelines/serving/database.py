"""Sessions of the warehouse for those who ask ``serve``, and the role in which each is asked.

    async with pool.session() as session:                              # as the warehouse's own user
    async with pool.acting(CRM_APP, visitor, reads=True) as session:   # one transaction, below row-level security
    async with pool.reading(visitor) as session:                       # one transaction that writes nothing

``acting`` takes the role and the tenant with one statement, whose settings end with the transaction, so a session that
is lent again has neither. The organization and the user are the visitor's, and never from the request. Whoever could
make a statement of ours run SQL of his own could leave the role again: all values are parameters, and the extended
protocol, by which a statement with parameters goes, takes one statement at a time.

Sessions are few, since PostgreSQL has few cores; who does not get one in time is answered 503. So that nobody shuts
others out, a visitor has at most ``EACH`` of them at a time, and requests that only read leave ``SPARED`` of them; and
nothing but PostgreSQL is asked while one is lent. Not ``psycopg_pool``, for the reasons in ``warehouse``.
"""

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any, Protocol
from uuid import UUID
from weakref import WeakValueDictionary

from warehouse_pipelines import warehouse
from warehouse_pipelines.errors import DatabaseUnavailable

if TYPE_CHECKING:
    import psycopg

    Session = psycopg.AsyncConnection[dict[str, Any]]

CRM_APP = "crm_app"
READ = "warehouse_read"
READ_MASKED = "warehouse_read_masked"

SESSIONS = 8
SPARED = 3
"""Sessions that no reading of tables or leads takes: who signs in, and who a request is made by, is asked meanwhile."""
EACH = 2
"""Sessions that the requests of one visitor have at a time; two visitors leave one of those that read to a third."""

WAIT_SECONDS = 3.0
"""How long a request waits for a session before it is answered 503."""

QUIET_SECONDS = 5.0
"""A session that was not lent for so long is asked whether it still answers: the server may have been restarted."""

READ_MILLISECONDS = 5_000

ACT = """
    SELECT set_config('role', %(role)s, true), set_config('app.organization_id', %(organization)s, true),
        set_config('app.user_id', %(user)s, true), set_config('app.client_ip', %(address)s, true),
        set_config('app.triggered_by', 'api', true)
"""
READ_ONLY = """
    SELECT set_config('transaction_read_only', 'on', true), set_config('statement_timeout', %(timeout)s, true),
        set_config('app.organization_id', %(organization)s, true), set_config('app.user_id', %(user)s, true),
        set_config('role', %(role)s, true)
"""


class Actor(Protocol):
    """Whoever a request is made by, as the database is told."""

    @property
    def user_id(self) -> UUID: ...
    @property
    def organization_id(self) -> UUID: ...
    @property
    def address(self) -> str: ...
    @property
    def sees_personal_data(self) -> bool: ...


class Pool:
    """Sessions of the warehouse at ``url``, lent one request at a time."""

    def __init__(self, url: str, size: int = SESSIONS) -> None:
        self._url = url
        self._free = asyncio.Semaphore(size)
        self._readers = asyncio.Semaphore(max(size - SPARED, 1))
        self._shares: WeakValueDictionary[UUID, asyncio.Semaphore] = WeakValueDictionary()
        self._idle: deque[tuple[float, Session]] = deque()

    @contextlib.asynccontextmanager
    async def session(self, visitor: Actor | None = None, *, reads: bool = False) -> "AsyncIterator[Session]":
        """Lend a session that commits each statement, as the warehouse's own user. Raises ``DatabaseUnavailable``.

        With ``visitor`` it is one of those that this visitor may have at a time, with ``reads`` of those that read.
        """
        async with contextlib.AsyncExitStack() as taken:
            try:
                async with asyncio.timeout(WAIT_SECONDS):
                    if visitor is not None:
                        await taken.enter_async_context(self._share_of(visitor))
                    if reads:
                        await taken.enter_async_context(self._readers)
                    await taken.enter_async_context(self._free)
            except TimeoutError:
                raise DatabaseUnavailable("all sessions of the warehouse are in use; try again") from None
            lent = await self._kept_one() or await self._connect()
            try:
                yield lent
            finally:
                await self._take_back(lent)

    @contextlib.asynccontextmanager
    async def acting(self, role: str, visitor: Actor, *, reads: bool = False) -> "AsyncIterator[Session]":
        """Lend a transaction in ``role`` for the visitor's organization; ``reads`` for a request that changes nothing.

        Raises ``DatabaseUnavailable``.
        """
        async with self.session(visitor, reads=reads) as session, session.transaction():
            await become(session, role, visitor)
            yield session

    @contextlib.asynccontextmanager
    async def reading(self, visitor: Actor, *, clear: bool = False) -> "AsyncIterator[Session]":
        """Lend a transaction that reads what analysts read: the schema ``masked``, or with ``clear`` the tables.

        ``clear`` is for visitors who may see personal data; note what they saw by ``note_clear_view``. Raises
        ``DatabaseUnavailable``, and ``PermissionError`` where the visitor may not.
        """
        if clear and not visitor.sees_personal_data:
            raise PermissionError("this visitor may not see personal data in clear")
        settings = {
            "role": READ if clear else READ_MASKED, "timeout": str(READ_MILLISECONDS),
            "organization": str(visitor.organization_id), "user": str(visitor.user_id),
        }  # fmt: skip
        async with self.session(visitor, reads=True) as session, session.transaction():
            await session.execute(READ_ONLY, settings)
            yield session

    async def note_clear_view(self, visitor: Actor, relation: str, what: str) -> None:
        """Log that the visitor sees personal data: of which relation, and ``what``: a key, ``list`` or ``export``.

        It is committed before the data are sent. Raises ``DatabaseUnavailable``.
        """
        statement = "INSERT INTO access.clear_view (user_id, relation, what) VALUES (%s, %s, %s)"
        async with self.session() as session:
            await session.execute(statement, [visitor.user_id, relation, what])

    async def close(self) -> None:
        """End the sessions."""
        while self._idle:
            await self._idle.pop()[1].close()

    def _share_of(self, visitor: Actor) -> asyncio.Semaphore:
        """Return the visitor's share, which is kept while somebody holds it or waits for it."""
        if (share := self._shares.get(visitor.user_id)) is None:
            share = self._shares[visitor.user_id] = asyncio.Semaphore(EACH)
        return share

    async def _connect(self) -> "Session":
        from psycopg.rows import dict_row

        made: Any = await warehouse.connect_async(self._url, application_name="warehouse-serve")
        made.row_factory = dict_row
        session: Session = made
        return session

    async def _kept_one(self) -> "Session | None":
        import psycopg

        while self._idle:
            since, found = self._idle.pop()
            try:
                if time.monotonic() - since > QUIET_SECONDS:
                    await found.execute("")
                return found
            except psycopg.Error:
                await found.close()
        return None

    async def _take_back(self, lent: "Session") -> None:
        from psycopg.pq import TransactionStatus

        if lent.closed or lent.info.transaction_status != TransactionStatus.IDLE:
            await lent.close()
        else:
            self._idle.append((time.monotonic(), lent))


async def become(session: "Session", role: str, visitor: Actor) -> None:
    """Take a role and the visitor's tenant until the transaction ends."""
    await session.execute(ACT, {
        "role": role, "organization": str(visitor.organization_id), "user": str(visitor.user_id),
        "address": visitor.address,
    })  # fmt: skip


async def leave(session: "Session") -> None:
    """Be the warehouse's own user again, within the transaction."""
    await session.execute("SELECT set_config('role', 'none', true)")

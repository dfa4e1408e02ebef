"""The lease of an entity: one process at a time loads it, on whatever machine, and one that lost it commits nothing.

``hold`` takes the lock of the entity (``entity_lock``) and writes a row of ``orchestration.entity_lease`` with a token,
which grows with every holder. A thread renews the row while the run goes on, and the load transaction checks the token
before it commits (``close_history_row``).

Decided:

- Both a lock and a row, because each sees what the other cannot. PostgreSQL frees the lock as soon as the process or
  its session has ended, so after a kill nobody waits. A process that is stopped, or whose machine sleeps or is cut off,
  keeps its session and its lock; that it no longer renews shows in the row.
- A run that finds the lock held, and the lease not renewed for ``EXPIRED_SECONDS``, terminates the holder's sessions,
  which frees the lock. It looks twice, ``SECOND_LOOK_SECONDS`` apart, because a new holder takes the lock just before
  it writes the row.
- A new holder also terminates the load transaction of a former one, because that keeps row locks. Each load transaction
  holds the lock ``entity_lock.loading_key``, by which it is found.
- Only PostgreSQL's clock is asked, so the clocks of machines may differ. A run begins when it took the lease.
- The token, and not the time, decides whether a run may commit. A run that was late and met nobody loses nothing.
"""

import contextlib
import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import psycopg

from warehouse_pipelines import warehouse
from warehouse_pipelines.errors import DatabaseUnavailable, LeaseLost, SyncRunning
from warehouse_pipelines.loading import entity_lock, sync_history
from warehouse_pipelines.model.entity import Entity
from warehouse_pipelines.model.source import Source
from warehouse_pipelines.queries import query

if TYPE_CHECKING:
    from warehouse_pipelines.warehouse import Session

log = logging.getLogger("warehouse.sync")

RENEW_SECONDS = 4.0
EXPIRED_SECONDS = 20.0
SECOND_LOOK_SECONDS = 2.0

LOCK_SECONDS = 30.0
"""How long a run waits for another one of its entity: longer than a lease takes to expire. With ``until_free`` it waits
so long for each renewal of the lease."""

UNHURRIED_SECONDS = 2.0
"""Between two looks of a run that has waited longer than that for another one that renews its lease."""

ACQUIRE_SECONDS = 10.0
"""How long the commit of a former holder is waited for, before its session is ended."""

SILENT = "its process stopped renewing its lease, so another run took the entity over; nothing of it was committed"
"""The message of a row whose holder was alive and silent."""


class Lease:
    """The lease of this process. ``when_renewed`` is called each time that it is renewed, with the session at hand.

    Once it is lost, ``when_lost`` is called every 0.2 s until the block ends.
    """

    def __init__(
        self, url: str, session: "Session", source: Source, entity: Entity, token: int, taken_at: datetime
    ) -> None:
        self.url, self.session, self.token, self.taken_at = url, session, token, taken_at
        self.lost = threading.Event()
        self.when_lost: Callable[[], None] = lambda: None
        self.when_renewed: Callable[[], None] = lambda: None
        self._of = (source.name, entity.name)
        self._ended = threading.Event()
        self._keeper = threading.Thread(target=self._keep, name=f"lease-{source.name}-{entity.name}", daemon=True)

    def __enter__(self) -> "Lease":
        self._keeper.start()
        return self

    def __exit__(self, *raised: object) -> None:
        """Cease to renew. The session is closed if that cannot be waited for."""
        self._ended.set()
        self._keeper.join(timeout=2)
        if self._keeper.is_alive():
            warehouse.end(self.session)

    def error(self) -> LeaseLost | DatabaseUnavailable:
        """Return the error of a run that lost this lease; while the server is away it says that."""
        crm, sync_type = self._of
        try:
            warehouse.connect(self.url).close()
        except DatabaseUnavailable as error:
            return DatabaseUnavailable(f"{error} Nothing was committed; the lease was lost. Run it again.")
        return LeaseLost(
            f"the lease of {crm} {sync_type} was lost: its session ended, or this process stood still for "
            f"{EXPIRED_SECONDS:.0f} s and another run took over. Nothing was committed; run it again"
        )

    def _keep(self) -> None:
        while not self._ended.wait(RENEW_SECONDS):
            try:
                renewed = self.session.execute(
                    "UPDATE orchestration.entity_lease SET renewed_at = clock_timestamp() "
                    "WHERE crm_source = %s AND sync_type = %s AND token = %s",
                    [*self._of, self.token],
                ).rowcount
            except psycopg.Error:
                renewed = 0
            if not renewed and not self._ended.is_set():
                self.lost.set()
                while not self._ended.wait(0.2):
                    self.when_lost()
            else:
                with contextlib.suppress(psycopg.Error):  # the next renewal finds out
                    self.when_renewed()


@contextlib.contextmanager
def hold(
    url: str,
    source: Source,
    entity: Entity,
    run_id: str | None = None,
    asked: Mapping[str, Any] = MappingProxyType({}),
    *,
    at_once: bool = False,
    until_free: bool = False,
) -> Iterator[Lease]:
    """Hold the lease of an entity for the block; rows that a dead or silent process left are closed first.

    ``asked`` is what the row of a run that cannot begin says of it (``run_report.asked``).

    Raises ``SyncRunning`` when another run holds it for longer than ``LOCK_SECONDS``, or its commit stands still and
    cannot be ended, and leaves a row that says so. With ``at_once`` nobody is waited for, and there is no such row;
    with ``until_free`` a run that renews its lease is waited for as long as it takes, and ``LOCK_SECONDS`` one that
    does not and cannot be ended.
    """
    with warehouse.session(url) as session:
        if at_once and not entity_lock.take(session, source.name, entity.name):
            raise SyncRunning(f"{source.name} {entity.name} is being synced. Nothing was read")
        silent = not at_once and _lock(session, source, entity, run_id, asked, until_free=until_free)
        token, taken_at = _acquire(session, source, entity, run_id, asked, at_once=at_once)
        _terminate_holders(session, entity_lock.loading_key(source.name, entity.name), wait=True)
        sync_history.close_dead(session, source.name, entity.name, SILENT if silent else sync_history.DIED)
        with Lease(url, session, source, entity, token, taken_at) as lease:
            yield lease


def _lock(
    session: "Session", source: Source, entity: Entity, run_id: str | None, asked: Mapping[str, Any], *,
    until_free: bool = False,
) -> bool:  # fmt: skip
    """Wait for the lock of an entity. Return True if it was taken from a holder that did not renew its lease."""
    start_time, began = datetime.now(UTC), time.monotonic()
    other, silent, may_end = "", False, True
    suspect: int | None = None  # the token of a lease that was seen expired, since suspected_at
    suspected_at = patient_since = began
    renewed_at: datetime | None = None  # by the last look
    while not entity_lock.take(session, source.name, entity.name):
        now = time.monotonic()
        if not other:
            other = _describe_holder(session, source.name, entity.name)
            longest = "as long as the lease is renewed by" if until_free else f"at most {LOCK_SECONDS:.0f} s for"
            log.warning("%s %s waits %s %s", source.name, entity.name, longest, other)
        expired, renewed = _expired(session, source, entity)
        if until_free and renewed != renewed_at:
            renewed_at, patient_since = renewed, now
        if expired is None or expired != suspect:
            suspect, suspected_at = expired, now
        elif may_end and now - suspected_at >= SECOND_LOOK_SECONDS:
            log.warning("%s %s: %s does not renew its lease; it is ended", source.name, entity.name, other)
            ended = _terminate_holders(session, entity_lock.key(source.name, entity.name))
            silent, may_end, suspect = silent or bool(ended), ended is not None, None
        if now - patient_since > LOCK_SECONDS:
            raise _refused(session, source, entity, other, start_time, run_id, asked)
        time.sleep(UNHURRIED_SECONDS if expired is None and now - began > LOCK_SECONDS else 0.2)
    return silent


def _refused(
    session: "Session", source: Source, entity: Entity, other: str, start_time: datetime, run_id: str | None,
    asked: Mapping[str, Any],
) -> SyncRunning:  # fmt: skip
    """Return the error of a run that could not begin, and leave its row."""
    error = SyncRunning(
        f"{source.name} {entity.name} is being synced by {other}; try again when it ends. Nothing was read"
    )
    sync_history.refuse(session, source, entity, error, start_time=start_time, run_id=run_id, asked=asked)
    return error


def _acquire(
    session: "Session", source: Source, entity: Entity, run_id: str | None, asked: Mapping[str, Any], *, at_once: bool
) -> tuple[int, datetime]:
    """Write the row of a new holder, who has the lock, and return its token, and when it took the lease.

    A commit that is under way has the row locked. It is waited for, and ended after ``ACQUIRE_SECONDS``.
    """
    start_time = datetime.now(UTC)
    seconds = 1.0 if at_once else ACQUIRE_SECONDS
    session.execute("SELECT set_config('lock_timeout', %s, false)", [f"{seconds * 1000:.0f}ms"])
    try:
        taken = _write_holder(session, source, entity, run_id)
    except psycopg.errors.LockNotAvailable as error:
        if at_once:
            raise SyncRunning(f"{source.name} {entity.name} is being committed. Nothing was read") from error
        _terminate_holders(session, entity_lock.loading_key(source.name, entity.name), wait=True)
        try:
            taken = _write_holder(session, source, entity, run_id)
        except psycopg.errors.LockNotAvailable as error:
            other = _describe_holder(session, source.name, entity.name)
            raise _refused(session, source, entity, other, start_time, run_id, asked) from error
    session.execute("RESET lock_timeout")
    return taken


def _write_holder(session: "Session", source: Source, entity: Entity, run_id: str | None) -> tuple[int, datetime]:
    [row] = session.execute(
        """
        INSERT INTO orchestration.entity_lease AS l (crm_source, sync_type, token, holder, run_id)
        VALUES (%s, %s, 1, %s, %s)
        ON CONFLICT (crm_source, sync_type) DO UPDATE SET token = l.token + 1, holder = excluded.holder,
            run_id = excluded.run_id, taken_at = clock_timestamp(), renewed_at = clock_timestamp()
        RETURNING token, taken_at
        """,
        [source.name, entity.name, f"{socket.gethostname()}:{os.getpid()}", run_id],
    )
    return int(row["token"]), row["taken_at"].astimezone(UTC)


def _expired(session: "Session", source: Source, entity: Entity) -> tuple[int | None, datetime | None]:
    """Return the token of a lease that was not renewed in time, else None; and when it was renewed.

    Both are None where there is no lease: who holds the lock then is about to write its first, or of a version that
    writes none.
    """
    row = session.execute(
        """
        SELECT token, renewed_at, renewed_at < clock_timestamp() - make_interval(secs => %s) AS expired
        FROM orchestration.entity_lease WHERE crm_source = %s AND sync_type = %s
        """,
        [EXPIRED_SECONDS, source.name, entity.name],
    ).fetchone()
    if row is None:
        return None, None
    return int(row["token"]) if row["expired"] else None, row["renewed_at"]


def _terminate_holders(session: "Session", key: str, *, wait: bool = False) -> bool | None:
    """End the other sessions that hold the lock of this name; return whether there were any. ``wait`` until they ended.

    A session of a user whose sessions ours may not end is left alone, and None returned: the token keeps it from
    committing.
    """
    found, deadline = False, time.monotonic() + 5
    while True:
        try:
            ended = session.execute(query("lease_end_sessions"), {"key": key}).fetchall()
        except psycopg.errors.InsufficientPrivilege:
            log.warning("the session that holds %s belongs to another user, and cannot be ended", key)
            return None
        found = found or bool(ended)
        if not ended or not wait or time.monotonic() > deadline:
            return found
        time.sleep(0.05)


def _describe_holder(session: "Session", crm: str, sync_type: str) -> str:
    """Return which run holds the lock of an entity, as far as the history knows."""
    row = session.execute(
        """
        SELECT id, run_id, ceil(extract(epoch FROM clock_timestamp() - start_time) / 60)::integer AS minutes
        FROM orchestration.sync_history
        WHERE crm_source = %s AND sync_type = %s AND status = 'running' ORDER BY id DESC LIMIT 1
        """,
        [crm, sync_type],
    ).fetchone()
    if row is None:
        return "another run"
    return f"another run (sync_history {row['id']}, run {row['run_id'] or 'unknown'}, {row['minutes']} min)"

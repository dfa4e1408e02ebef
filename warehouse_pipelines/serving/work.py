"""Work the inbox off: read what its deliveries name, then close them.

    take what is due -> gather the keys of each entity -> read them (``keyed.sync_keys``) -> close the rows

A row is done when everything that it names was read after it was committed. What a vendor cannot be asked for by key is
read by a delta, at most once in ``DELTA_SECONDS``, or ``WHOLE_SECONDS`` where a delta reads everything; a delta that
began after the row was committed counts, whoever ran it. While another run holds an entity its rows wait. A read that
fails is tried again, ever later, and given up in the end: polls go on and find what it named.

Two that call ``work`` at a time do not do the work twice: the second one returns None.
"""

import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

from warehouse_pipelines import warehouse
from warehouse_pipelines.errors import DatabaseUnavailable, SyncRunning, WarehouseError, masked
from warehouse_pipelines.loading import entity_lock, sync_history, webhook_inbox
from warehouse_pipelines.loading.keyed import sync_keys
from warehouse_pipelines.loading.options import DELIVERED, Options, Result
from warehouse_pipelines.loading.sync import sync
from warehouse_pipelines.loading.webhook_inbox import Due
from warehouse_pipelines.model.entity import Entity
from warehouse_pipelines.model.source import Source
from warehouse_pipelines.model.webhook import Change, Delivery, UnreadableDelivery
from warehouse_pipelines.serving.vendors import VENDORS

if TYPE_CHECKING:
    from warehouse_pipelines.warehouse import Session

log = logging.getLogger("warehouse.webhooks")

MOST_ROWS = 500
BUSY_SECONDS = 3.0
DELTA_SECONDS, WHOLE_SECONDS = 30.0, 600.0


class Target(NamedTuple):
    """What one read reads: an entity, by key or as a delta."""

    crm: str
    entity: str
    by_key: bool


@dataclass
class Worked:
    """What was done: rows by what became of them, and the reads."""

    taken: int = 0
    rows: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    reads: list[tuple[Source, Entity, Result]] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)


@dataclass
class _Plan:
    """The rows that name a target, each with when it was received, and the keys of it with the rows that name them."""

    rows: dict[int, datetime] = field(default_factory=dict)
    keys: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))


def work(sources: Sequence[Source], *, url: str, run_id: str | None = None, limit: int = MOST_ROWS) -> Worked | None:
    """Work off what is due, at most ``limit`` deliveries; None where another process is at it.

    Raises ``DatabaseUnavailable``; what was not closed by then stays pending.
    """
    with warehouse.session(url) as session, webhook_inbox.working(session) as mine:
        if not mine:
            return None
        worked = Worked()
        found = webhook_inbox.due(session, limit)
        worked.taken = len(found)
        _Batch(sources, session, url, run_id, worked).work(found)
        return worked


class _Batch:
    """One batch of deliveries, from its rows to their closing."""

    def __init__(self, sources: Sequence[Source], session: "Session", url: str, run_id: str | None,
                 worked: Worked) -> None:  # fmt: skip
        self._entities = {(source.name, one.name): (source, one) for source in sources for one in source.entities}
        self._session, self._url, self._run_id, self._worked = session, url, run_id, worked
        self._failed: dict[int, str] = {}
        self._waiting: dict[int, float] = {}

    def work(self, rows: Sequence[Due]) -> None:
        """Read what the rows name and close them."""
        plans = self._plans(rows)
        named = {key for plan in plans.values() for key in plan.rows}
        ignored = [row.id for row in rows if row.id not in named and row.id not in self._failed]
        webhook_inbox.close(self._session, ignored, "ignored")
        webhook_inbox.fail(self._session, self._failed, for_good=True)
        self._count(ignored=len(ignored), failed=len(self._failed))
        self._failed.clear()
        # Records that are named take a moment, a list that is read as a whole takes minutes.
        lists = {target: plan for target, plan in plans.items() if not target.by_key}
        for target, plan in plans.items():
            if target.by_key:
                self._read(target, plan)
        later = {key for plan in lists.values() for key in plan.rows}
        self._close(named - later)
        for target, plan in lists.items():
            self._read(target, plan)
        self._close(later)

    def _close(self, rows: Set[int]) -> None:
        """Close rows of which all is read, and put off the others."""
        failed = {key: message for key, message in self._failed.items() if key in rows}
        late = {key: seconds for key, seconds in self._waiting.items() if key in rows and key not in failed}
        for seconds in set(late.values()):
            webhook_inbox.wait(self._session, [key for key, one in late.items() if one == seconds], seconds)
        given_up = webhook_inbox.fail(self._session, failed)
        done = [key for key in rows if key not in failed and key not in late]
        webhook_inbox.close(self._session, done, "done")
        self._count(done=len(done), waiting=len(late), retried=len(failed) - given_up, failed=given_up)

    def _count(self, **counts: int) -> None:
        for name, number in counts.items():
            if number:
                self._worked.rows[name] += number

    def _plans(self, rows: Sequence[Due]) -> Mapping[Target, _Plan]:
        """Return what is to be read, in the order in which it was first named."""
        plans: dict[Target, _Plan] = {}
        for row in rows:
            vendor = VENDORS.get(row.source)
            try:
                changes = vendor.read(Delivery(row.headers, row.body.encode())).changes if vendor else ()
            except UnreadableDelivery as error:
                self._failed[row.id] = str(error)
                continue
            for change in changes:
                plan = plans.setdefault(self._target(change), _Plan())
                plan.rows[row.id] = row.received_at
                if change.key is not None:
                    plan.keys[change.key].append(row.id)
        return {target: plan for target, plan in plans.items() if target[:2] in self._entities}

    def _target(self, change: Change) -> Target:
        source, _ = self._entities.get((change.crm, change.entity), (None, None))
        return Target(change.crm, change.entity, bool(source and change.key and change.entity in source.by_key))

    def _read(self, target: Target, plan: _Plan) -> None:
        source, entity = self._entities[target[:2]]
        rows, seconds = self._to_do(source, entity, target, plan)
        if not rows:
            return
        if seconds:
            self._waiting |= dict.fromkeys(rows, seconds)
            return
        try:
            for result in self._results(source, entity, target, list(plan.keys)):
                self._worked.reads.append((source, entity, result))
                self._fail_unread(source, entity, plan, result)
        except SyncRunning:
            self._waiting |= dict.fromkeys(rows, BUSY_SECONDS)
        except DatabaseUnavailable:
            raise
        except Exception as error:
            if not isinstance(error, WarehouseError):
                log.exception("%s %s could not be read for its webhooks", source.name, entity.name)
            message = f"{source.name} {entity.name}: {type(error).__name__}: {masked(str(error), 400)}"
            self._worked.failures.append(message)
            self._failed |= dict.fromkeys(rows, message)

    def _fail_unread(self, source: Source, entity: Entity, plan: _Plan, result: Result) -> None:
        """Have the rows tried again whose keys the vendor refused to answer; what it answered is loaded."""
        if result.unread_keys:
            message = f"{source.name} {entity.name}: {masked(str(result.reason), 400)}"
            self._worked.failures.append(message)
            self._failed |= {row: message for key in result.unread_keys for row in plan.keys[key]}

    def _results(self, source: Source, entity: Entity, target: Target, keys: list[str]) -> "list[Result]":
        if not target.by_key:
            return [sync(source, entity, Options(), DELIVERED, url=self._url, run_id=self._run_id)]
        most = source.by_key[entity.name]
        return [
            sync_keys(source, entity, keys[start : start + most], url=self._url, run_id=self._run_id)
            for start in range(0, len(keys), most)
        ]

    def _to_do(self, source: Source, entity: Entity, target: Target, plan: _Plan) -> tuple[list[int], float]:
        """Return the rows whose records are not read yet, and the seconds that they have to wait; 0 reads them now."""
        rows, wait = list(plan.rows), 0.0
        if not target.by_key:
            poll = sync_history.last_poll(self._session, source, entity)
            if poll.start_time is not None:
                rows = [key for key, received in plan.rows.items() if received >= poll.start_time]
            gap = DELTA_SECONDS if entity.cursor or entity.state_based else WHOLE_SECONDS
            wait = max(0.0, gap - poll.seconds)
        if rows and entity_lock.is_held(self._session, source.name, entity.name):
            return rows, BUSY_SECONDS
        return rows, wait

"""Work the inbox off: read what its deliveries name, then close them.

    take what is due of a source -> gather the keys of each entity -> read them (``keyed.sync_keys``) -> close the rows
                                 -> read what is a list as a whole -> close the rows that named it

Each source has a lock, and its lists have one of their own (``webhook_inbox.working``): records that are named take a
moment, a list takes minutes, and a vendor that is slow or whose budget is spent keeps nobody else's deliveries waiting.
Two that work the same off do not do it twice: the second one leaves it. What names a list waits for ``DELTA_SECONDS``
while lists of its source are read, and its keys are not read again meanwhile (``_keys_read``).

A row is done when everything that it names was read after it was committed. What a vendor cannot be asked for by key is
read by a delta, at most once in ``DELTA_SECONDS``, or ``WHOLE_SECONDS`` where a delta reads everything; a delta that
began after the row was committed counts, whoever ran it. While another run holds an entity its rows wait, and so they
do for a budget of requests that is spent, without a try. A read that fails is tried again, ever later, and given up in
the end: polls go on and find what it named.
"""

import logging
import traceback
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from warehouse_pipelines import warehouse
from warehouse_pipelines.errors import BudgetSpent, DatabaseUnavailable, SyncRunning, WarehouseError, masked
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
DELTA_SECONDS, WHOLE_SECONDS = 30.0, 600.0

LONGEST_BUDGET_SECONDS = 3_600.0
"""A row waits no longer for a budget before it asks again."""

MOST_KEYS_READ = 10_000
"""Rows of which it is remembered that their keys were read; where there are more, all are forgotten."""

_keys_read: dict[tuple[str, int], datetime] = {}
"""By database and row: the row was received then, its keys were read after that, and it waits for a list."""


class Target(NamedTuple):
    """What one read reads: an entity, by key or as a delta."""

    crm: str
    entity: str
    by_key: bool


@dataclass
class Worked:
    """What was done: rows by what became of them, and the reads."""

    taken: int = 0
    """Rows that were looked at; some of them may wait, and are taken again."""
    rows: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    reads: list[tuple[Source, Entity, Result]] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    @property
    def closed(self) -> int:
        """How many rows are worked off: done, ignored or given up."""
        return sum(self.rows.get(status, 0) for status in ("done", "ignored", "failed"))

    def add(self, other: "Worked") -> None:
        """Count what was done beside this."""
        self.taken += other.taken
        for status, number in other.rows.items():
            self.rows[status] += number
        self.reads += other.reads
        self.failures += other.failures


@dataclass
class _Plan:
    """The rows that name a target, each with when it was received, and the keys of it with the rows that name them."""

    rows: dict[int, datetime] = field(default_factory=dict)
    keys: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))


def work(sources: Sequence[Source], *, url: str, run_id: str | None = None, limit: int = MOST_ROWS) -> Worked | None:
    """Work off what is due, one source after another and their lists at last, at most ``limit`` deliveries of each.

    None where something is due and others are at all of it. Raises ``DatabaseUnavailable``; what was not closed by then
    stays pending.
    """
    with warehouse.session(url) as session:
        due = webhook_inbox.count_due(session)
    batches = [work_keys(sources, name, url=url, run_id=run_id, limit=limit) for name in due]
    mine = [one for one in batches if one is not None]
    if due and not mine:
        return None
    worked = Worked()
    for one in mine:
        one.read_lists()
        worked.add(one.worked)
    return worked


def work_keys(sources: Sequence[Source], name: str, *, url: str, run_id: str | None = None,
              limit: int = MOST_ROWS) -> "Batch | None":  # fmt: skip
    """Read by key what a source delivered and is due; None where another one is at it. The lists are left to the batch.

    Raises ``DatabaseUnavailable``.
    """
    with warehouse.session(url) as session, webhook_inbox.working(session, name) as mine:
        if not mine:
            return None
        batch = Batch(sources, name, url, run_id)
        batch.read_keys(session, webhook_inbox.due(session, name, limit))
        return batch


class Batch:
    """One batch of the deliveries of a source, from its rows to their closing."""

    _session: "Session"

    def __init__(self, sources: Sequence[Source], name: str, url: str, run_id: str | None) -> None:
        self._entities = {(source.name, one.name): (source, one) for source in sources for one in source.entities}
        self.source, self._url, self._run_id, self.worked = name, url, run_id, Worked()
        self._lists: dict[Target, _Plan] = {}
        self._unreadable: dict[int, str] = {}
        self._failed: dict[int, str] = {}
        self._busy: set[int] = set()
        self._waiting: dict[int, tuple[float, str | None]] = {}
        """For how many seconds a row waits, and why."""

    @property
    def has_lists(self) -> bool:
        """Whether something is left to be read as a whole."""
        return bool(self._lists)

    def take_worked(self) -> Worked:
        """Return what was done, and begin to count anew."""
        worked, self.worked = self.worked, Worked()
        return worked

    @contextmanager
    def _on(self, session: "Session") -> Iterator[None]:
        self._session = session
        yield
        del self._session

    def read_keys(self, session: "Session", rows: Sequence[Due]) -> None:
        """Read by key what the rows name, and close those that wait for no list or need none read."""
        with self._on(session):
            self.worked.taken = len(rows)
            again = {row.id: row.received_at for row in rows if self._has_keys_read(row)}
            plans = self._plans(rows)
            named = {key: at for plan in plans.values() for key, at in plan.rows.items()} | again
            open_ = named.keys() | self._failed.keys() | self._unreadable.keys()
            ignored = {row.id: row.received_at for row in rows if row.id not in open_}
            self._count(ignored=webhook_inbox.close(session, ignored, "ignored"))
            self._count(failed=webhook_inbox.fail(session, self._unreadable, for_good=True))
            for target, plan in plans.items():
                if target.by_key:
                    self._read(target, plan)
            self._remember(plans)
            self._plan_lists({target: plan for target, plan in plans.items() if not target.by_key})
            later = self._later()
            webhook_inbox.wait(session, list(later), DELTA_SECONDS)  # nobody takes them again meanwhile
            mine = {row.id: row.received_at for row in rows if row.id in open_ and row.id not in self._unreadable}
            self._close({key: at for key, at in mine.items() if key not in later})

    def _plan_lists(self, plans: Mapping[Target, _Plan]) -> None:
        """Keep the lists that are to be read now; what names them waits while others of this source are read."""
        others = bool(plans) and webhook_inbox.are_lists_read(self._session, self.source)
        for target, plan in plans.items():
            if others:
                rows, seconds = self._to_do(*self._entities[target[:2]], target, plan)
                self._wait(rows, max(seconds, DELTA_SECONDS))
            elif ready := self._ready(target, plan):
                self._lists[target] = _Plan(ready)

    def _has_keys_read(self, row: Due) -> bool:
        return _keys_read.get((self._url, row.id)) == row.received_at

    def _remember(self, plans: Mapping[Target, _Plan]) -> None:
        """Remember the rows that name a list and whose keys were all read."""
        lists = {key for target, plan in plans.items() if not target.by_key for key in plan.rows}
        open_ = self._failed.keys() | self._busy | self._waiting.keys()
        for target, plan in plans.items():
            if target.by_key:
                if len(_keys_read) >= MOST_KEYS_READ:
                    _keys_read.clear()
                read = {key: at for key, at in plan.rows.items() if key in lists and key not in open_}
                _keys_read.update({(self._url, key): at for key, at in read.items()})

    def read_lists(self) -> None:
        """Read as a whole what the rows name, and close them; they wait where another one reads lists of this source.

        Raises ``DatabaseUnavailable``.
        """
        if not self._lists:
            return
        with (
            warehouse.session(self._url) as session,
            self._on(session),
            webhook_inbox.working(session, self.source, lists=True) as mine,
        ):
            for target, plan in self._lists.items():
                if mine:
                    self._read(target, plan)
                else:
                    self._wait(plan.rows, DELTA_SECONDS)
            self._close(self._later())

    def _later(self) -> dict[int, datetime]:
        return {key: at for plan in self._lists.values() for key, at in plan.rows.items()}

    def _close(self, rows: Mapping[int, datetime]) -> None:
        """Close rows of which all is read, and put off the others."""
        failed = {key: message for key, message in self._failed.items() if key in rows}
        late = {key: why for key, why in self._waiting.items() if key in rows and key not in failed}
        for why in set(late.values()):
            seconds, reason = why
            webhook_inbox.wait(self._session, [key for key, one in late.items() if one == why], seconds, reason=reason)
        busy = [key for key in self._busy if key in rows and key not in failed and key not in late]
        webhook_inbox.wait_busy(self._session, busy)
        given_up = webhook_inbox.fail(self._session, failed)
        open_ = {*failed, *late, *busy}
        done = {key: at for key, at in rows.items() if key not in open_}
        closed = webhook_inbox.close(self._session, done, "done")
        for key in done:
            _keys_read.pop((self._url, key), None)
        waiting = len(late) + len(busy)
        self._count(done=closed, waiting=waiting, retried=len(failed) - given_up, failed=given_up)

    def _count(self, **counts: int) -> None:
        for name, number in counts.items():
            if number:
                self.worked.rows[name] += number

    def _plans(self, rows: Sequence[Due]) -> Mapping[Target, _Plan]:
        """Return what is to be read, in the order in which it was first named."""
        plans: dict[Target, _Plan] = {}
        for row in rows:
            has_keys_read = self._has_keys_read(row)
            for change in self._changes(row):
                target = self._target(change)
                if (target.by_key and has_keys_read) or (change.if_read and not self._was_read(change)):
                    continue
                plan = plans.setdefault(target, _Plan())
                plan.rows[row.id] = row.received_at
                if change.key is not None:
                    plan.keys[change.key].append(row.id)
        return {target: plan for target, plan in plans.items() if target[:2] in self._entities}

    def _changes(self, row: Due) -> Sequence[Change]:
        """Return what a row names; nothing where it cannot be read, which it then keeps as its failure."""
        vendor = VENDORS.get(row.source)
        try:
            return tuple(vendor.read(Delivery(row.headers, row.body.encode())).changes) if vendor else ()
        except UnreadableDelivery as error:
            self._unreadable[row.id] = str(error)
        except Exception as error:  # whose words may be the delivery's
            where = traceback.extract_tb(error.__traceback__)[-1]
            at = f"{Path(where.filename).parent.name}/{Path(where.filename).name}:{where.lineno}"
            message = f"{row.source}: a delivery could not be read: {type(error).__name__} at {at}"
            self.worked.failures.append(message)
            self._failed[row.id] = message
        return ()

    def _was_read(self, change: Change) -> bool:
        if (change.crm, change.entity) not in self._entities:
            return False
        return sync_history.last_poll(self._session, *self._entities[change.crm, change.entity]).start_time is not None

    def _target(self, change: Change) -> Target:
        source, _ = self._entities.get((change.crm, change.entity), (None, None))
        return Target(change.crm, change.entity, bool(source and change.key and change.entity in source.by_key))

    def _read(self, target: Target, plan: _Plan) -> None:
        source, entity = self._entities[target[:2]]
        rows = self._ready(target, plan)
        if not rows:
            return
        read: set[str] = set()
        try:
            for keys, result in self._results(source, entity, target, list(plan.keys)):
                read.update(keys)
                self.worked.reads.append((source, entity, result))
                self._put_off_unread(source, entity, plan, result)
        except SyncRunning:
            self._busy |= set(rows)
        except BudgetSpent as spent:
            unread = {row for key in plan.keys.keys() - read for row in plan.keys[key]} if target.by_key else rows
            self._put_off(source, entity, unread, str(spent), spent.seconds)
        except DatabaseUnavailable:
            raise
        except Exception as error:
            if not isinstance(error, WarehouseError):
                log.exception("%s %s could not be read for its webhooks", source.name, entity.name)
            message = f"{source.name} {entity.name}: {type(error).__name__}: {masked(str(error), 400)}"
            self.worked.failures.append(message)
            self._failed |= dict.fromkeys(rows, message)

    def _ready(self, target: Target, plan: _Plan) -> dict[int, datetime]:
        """Return the rows for which the target is to be read now; others are read, or wait."""
        source, entity = self._entities[target[:2]]
        rows, seconds = self._to_do(source, entity, target, plan)
        if not rows:
            return {}
        if entity_lock.is_held(self._session, source.name, entity.name):
            self._busy |= set(rows)
            return {}
        if seconds:
            self._wait(rows, seconds)
            return {}
        return {row: plan.rows[row] for row in rows}

    def _put_off_unread(self, source: Source, entity: Entity, plan: _Plan, result: Result) -> None:
        """Have the rows tried again whose keys were not answered; what was answered is loaded."""
        if result.unread_keys:
            rows = {row for key in result.unread_keys for row in plan.keys[key]}
            self._put_off(source, entity, rows, str(result.reason), result.unread_seconds)

    def _put_off(self, source: Source, entity: Entity, rows: Collection[int], why: str, seconds: float) -> None:
        """Have rows wait so many seconds for a budget; without any their read has failed."""
        message = f"{source.name} {entity.name}: {masked(why, 400)}"
        self.worked.failures.append(message)
        if seconds:
            self._wait(rows, min(seconds, LONGEST_BUDGET_SECONDS), message)
        else:
            self._failed |= dict.fromkeys(rows, message)

    def _wait(self, rows: Collection[int], seconds: float, reason: str | None = None) -> None:
        self._waiting |= {
            row: max((seconds, reason), self._waiting.get(row, (0.0, None)), key=lambda why: why[0]) for row in rows
        }

    def _results(
        self, source: Source, entity: Entity, target: Target, keys: list[str]
    ) -> Iterator[tuple[Sequence[str], Result]]:
        if not target.by_key:
            yield (), sync(source, entity, Options(), DELIVERED, url=self._url, run_id=self._run_id)
            return
        most = source.by_key[entity.name]
        for start in range(0, len(keys), most):
            some = keys[start : start + most]
            yield some, sync_keys(source, entity, some, url=self._url, run_id=self._run_id)

    def _to_do(self, source: Source, entity: Entity, target: Target, plan: _Plan) -> tuple[list[int], float]:
        """Return the rows whose records are not read yet, and the seconds that they have to wait; 0 reads them now."""
        rows, wait = list(plan.rows), 0.0
        if not target.by_key:
            poll = sync_history.last_poll(self._session, source, entity)
            if poll.start_time is not None:
                rows = [key for key, received in plan.rows.items() if received >= poll.start_time]
            gap = DELTA_SECONDS if entity.cursor or entity.state_based else WHOLE_SECONDS
            wait = max(0.0, gap - poll.seconds)
        return rows, wait

"""Apply: send what a plan says, as long as it is still true, and go on where an earlier attempt ended.

Before a batch is sent its records are read: one that is not as the plan says is ``moved`` and left alone. So is one of
a target that ``asks_again`` where the warehouse no longer says what the plan does; an undo takes back what was written,
whatever the warehouse says. Then its receipts are written, it is sent, and it is read back. A batch that has to wait,
for the budget or because the vendor is busy, is asked about all this once more after the wait. Whoever is killed leaves
items ``sending``: the next apply reads back which of them were written, and sends the others. A created record keeps
the id of its operation, so that one is never made twice.

The first item goes alone. A plan of which the first three are refused is stopped there, and so is one of which more
than half of a batch is refused; where each record is sent by itself, one of which more than half of the last 25 are.
"""

import logging
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from warehouse_pipelines import warehouse
from warehouse_pipelines.errors import ActionNeeded, SyncRunning, TryAgain, WarehouseError, WrongUse
from warehouse_pipelines.loading.erased import erasure_held_off
from warehouse_pipelines.model.reading import ReadContext
from warehouse_pipelines.outbound import ledger
from warehouse_pipelines.outbound.delivery import Delivery
from warehouse_pipelines.outbound.ledger import Item, Plan
from warehouse_pipelines.outbound.partner import Partner, Record, batches, used_by_others
from warehouse_pipelines.outbound.planning import Row, rows_of
from warehouse_pipelines.outbound.target import Target, Written
from warehouse_pipelines.outbound.values import same, wire
from warehouse_pipelines.outbound.withheld import Withheld
from warehouse_pipelines.settings import state_folder

if TYPE_CHECKING:
    from warehouse_pipelines.warehouse import Session

log = logging.getLogger("warehouse")

FEW = 20
"""Changes that are never too many."""

CANARIES = 3

JUDGED = 25
"""How many of the last records tell whether the vendor refuses too much, where each is sent by itself."""

PUT_OFF = "put off: nothing of it was sent, and it waits"

PART_WAITS = "put off: a part of it was sent, and the rest waits"

ASKED_SECONDS = 30.0
"""How old an answer of the warehouse may be when a batch is sent by it."""


def stop_file() -> Path:
    """Return the file that stops all writing while it is there."""
    return state_folder() / "stop-outbound"


def stop_reason() -> str | None:
    """Return why nothing is written; None where it may be."""
    if stop_file().exists():
        return f"{stop_file()} is there: nothing is written to any vendor. Delete it to go on."
    return None


def limit(target: Target, rows: int) -> int:
    """Return how many changes a plan may have without ``force``."""
    return max(FEW, min(target.most, rows // 5))


def refusal(target: Target, plan: Plan, *, force: bool) -> str | None:
    """Return why a plan may not be applied; None where it may."""
    if stopped := stop_reason():
        return stopped
    if plan.status not in ("planned", "applying", "partial"):
        return f"plan {plan.plan_id} is {plan.status}; make a new one: {_anew(target, plan)}."
    most = limit(target, plan.rows)
    if not force and plan.undoes is None and plan.status == "planned" and plan.changes > most:
        return (
            f"plan {plan.plan_id} changes {plan.changes} records, and {most} are allowed of {plan.rows} rows. "
            "Look at it, then repeat with --force."
        )
    return None


def _anew(target: Target, plan: Plan) -> str:
    """Return the command that makes a plan in place of this one."""
    if plan.undoes is not None:
        return f"`warehouse outbound undo {plan.undoes}`"
    return f"`warehouse outbound plan {target.name}`" if target.source else "see `warehouse google --help`"


def run(
    session: "Session", target: Target, plan: Plan, partner: Partner, context: ReadContext, *, by: str,
    force: bool = False, allow_archive: int = 0, url: str = "",
) -> Plan:  # fmt: skip
    """Apply a plan and return it as it stands then.

    Raises ``WrongUse`` for one that may not be applied, ``SyncRunning`` while another run writes to the same target,
    ``ActionNeeded`` for one that was stopped, ``TryAgain`` for one of which something is left, and as the vendor's
    client does. One that was begun and would write a
    field that the target has no more is closed first.
    """
    with warehouse.try_lock(session, f"warehouse:outbound:{target.name}") as free:
        if not free:
            raise SyncRunning(f"another run writes to {target.name}; try again when it has ended")
        plan = ledger.plan(session, str(plan.plan_id))
        if why := refusal(target, plan, force=force):
            raise WrongUse(why)
        if target.source and (newer := ledger.newer_plan(session, plan)):
            raise WrongUse(
                f"plan {plan.plan_id} was followed by plan {newer}, which may say otherwise; make a new one: "
                f"{_anew(target, plan)}."
            )
        if fields := ledger.unknown_fields(session, plan.plan_id, target.by_name):
            problem = f"plan {plan.plan_id} writes {', '.join(fields)}, which {target.name} has no more"
            if plan.status != "planned":
                close(session, target, [plan], partner, context, url=url, by=by, problem=problem)
            raise WrongUse(f"{problem}; make a new one: {_anew(target, plan)}.")
        ledger.set_status(session, plan.plan_id, "applying", by=by)
        try:
            _Applying(session, target, plan, partner, context, allow_archive, url=url, by=by).run()
            done = ledger.plan(session, str(plan.plan_id))
            if done.changes:
                raise TryAgain(f"plan {plan.plan_id}: {done.changes} records are left to be written; apply it again")
        except WarehouseError as error:
            ledger.set_status(session, plan.plan_id, "applying", problem=str(error))
            raise
        complete = not any(done.statuses.get(one) for one in ("partial", "refused", "moved"))
        ledger.set_status(session, plan.plan_id, "applied" if complete else "partial")
        left = any(done.statuses.get(one) for one in ("moved", "withheld"))
        if plan.undoes is not None and not left and not ledger.was_refused(session, plan.plan_id):
            ledger.set_status(session, plan.undoes, "undone")
        return ledger.plan(session, str(plan.plan_id))


def close(
    session: "Session", target: Target, plans: Sequence[Plan], partner: Partner, context: ReadContext, *, url: str,
    by: str, problem: str,
) -> None:  # fmt: skip
    """Read back what these plans of a target sent without learning the outcome, and close them for this reason."""
    for plan in plans:
        _Applying(session, target, plan, partner, context, 0, url=url, by=by).recover(give_up=True)
        ledger.set_status(session, plan.plan_id, "partial", problem=plan.problem or problem)


class _Applying:
    """One attempt to apply one plan."""

    def __init__(
        self, session: "Session", target: Target, plan: Plan, partner: Partner, context: ReadContext,
        allow_archive: int, *, url: str, by: str,
    ) -> None:  # fmt: skip
        self._url, self._by = url, by
        self._session, self._target, self._plan, self._partner = session, target, plan, partner
        self._delivery = Delivery(target, partner, context, self._begin, self._put_off, self._note_wait)
        self._allow_archive = allow_archive
        self._withheld = Withheld.read(session)
        self._said: Mapping[str, Row] = {}
        self._asked_at = -ASKED_SECONDS

    def run(self) -> None:
        self.recover()
        self._hold_back_archiving()
        planned = self._items("planned", "sending")
        one_by_one = self._partner.most == 1
        refused: deque[bool] = deque(maxlen=JUDGED if one_by_one else CANARIES)
        allowed = JUDGED // 2 if one_by_one else CANARIES - 1
        for place, batch in enumerate(self._batches(planned)):
            sent = self._send(batch)
            bad = sum(item.status == "refused" for item in sent)
            if sent and (one_by_one or (place < CANARIES and len(batch) == 1)):
                refused.append(bad > 0)
            if sum(refused) > allowed or (bad > len(batch) / 2 and len(batch) > CANARIES):
                reason = next((item.reason for item in sent if item.status == "refused"), "")
                raise ActionNeeded(f"{self._target.name}: the vendor refuses too much, so writing stopped: {reason}")

    def _items(self, *statuses: str) -> list[Item]:
        """Return the items of these statuses, without the sentence that the rest waits, said in an earlier attempt."""
        items = ledger.items(self._session, self._plan.plan_id, statuses)
        for item in items:
            item.reason = (item.reason or "").removesuffix(PART_WAITS).removesuffix("; ") or None
        return items

    def _batches(self, items: Sequence[Item]) -> Iterator[Sequence[Item]]:
        """Yield canaries until one is written, then batches of one action."""
        place = 0
        while place < min(CANARIES, len(items)):
            yield [items[place]]
            place += 1
            if items[place - 1].status == "written":
                break
        yield from self._of_one_action(items[place:])

    def recover(self, *, give_up: bool = False) -> None:
        """Read back what an earlier attempt sent without learning the outcome.

        What is not done stays ``sending``, to be sent again; unless the plan is given up.
        """
        sending = self._items("sending")
        for batch in self._of_one_action(sending):
            left = set() if give_up else {item.operation for item in self._delivery.left(batch)}
            self._settle([item for item in batch if item.operation not in left], {})

    def _of_one_action(self, items: Sequence[Item]) -> Iterator[Sequence[Item]]:
        for _, group in groupby(items, lambda item: item.action):
            yield from batches(list(group), self._partner.most)

    def _hold_back_archiving(self) -> None:
        """Refuse all archiving that was not allowed by number; an undo archives what its plan created."""
        archived = [item for item in self._items("planned") if item.action == "archive"]
        if self._plan.undoes is None and len(archived) > self._allow_archive:
            reason = f"archiving {len(archived)} records needs --allow-archive {len(archived)}"
            with self._session.transaction():
                ledger.mark(self._session, archived, "refused", reason)

    def _send(self, batch: Sequence[Item]) -> list[Item]:
        """Send what of a batch is still as planned, and read it back; return what was sent."""
        refused = self._delivery.send(batch)
        sent = [item for item in batch if item.status == "sending"]
        untouched = [item for item in sent if item.operation in refused and not self._delivery.reached(item)]
        self._settle(untouched, refused)  # first, because it reads nothing, which may fail
        self._settle([item for item in sent if item.status == "sending"], refused)
        return sent

    def _begin(self, batch: Sequence[Item]) -> list[Item]:
        """Return what of a batch is still to be sent, once its receipts say so.

        Who was erased while the vendor was read has no item any more, and is to have no receipt. Raises
        ``ActionNeeded`` while the stop file is there.
        """
        if not batch:
            return []
        self._partner.client.hold()
        items = self._still_said(self._still_true(self._not_withheld(batch)))
        if stop_file().exists():
            raise ActionNeeded(f"{stop_file()} is there, so writing stopped; delete it and apply again to go on")
        with self._session.transaction():
            if erasure_held_off(self._session) != self._withheld.last:
                items = self._not_withheld(items)
            if items:
                ledger.begin(self._session, self._plan, items)
        return items

    def _not_withheld(self, batch: Sequence[Item]) -> list[Item]:
        self._withheld = Withheld.read(self._session)
        kept = []
        for item in batch:
            values = [change.new for change in item.fields.values()]
            if any(values) and "@" in (item.object_id or ""):  # of a permission; to take one away is always right
                values.append(item.object_id)
            reason = self._withheld.reason(item.subject, values)
            if reason is None:
                kept.append(item)
            else:
                self._leave(item, "withheld", reason)
        return kept

    def _still_true(self, items: Sequence[Item]) -> list[Item]:
        """Return the items whose record is as it was when they were planned; mark the others ``moved``."""
        there = self._delivery.current(items)
        filled = self._filled_by_others(items)
        kept = []
        for item in items:
            record = there.get(item.operation)
            if record and (reason := self._restores_erased(item, record)):
                self._leave(item, "withheld", reason)
                continue
            if record is None and item.object_id and (reason := self._partner.unreadable(item.object_id)):
                self._leave(item, "refused", reason)
                continue
            moved = self._moved(item, record)
            if moved is None and (names := filled.get(item.object_id or "")):
                moved = f"somebody uses it since it was planned: {', '.join(names)}"
            if moved is None:
                kept.append(item)
            else:
                self._leave(item, "moved", moved)
        return kept

    def _still_said(self, items: list[Item]) -> list[Item]:
        """Return the items that the warehouse still says; mark the others ``moved``."""
        if not self._target.asks_again or self._plan.undoes is not None:
            return items
        if time.monotonic() - self._asked_at >= ASKED_SECONDS:
            self._said = {str(row["key"]): row for row in rows_of(self._session, self._target)}
            self._asked_at = time.monotonic()
        said = []
        for item in items:
            if self._is_said(item):
                said.append(item)
            else:
                self._leave(item, "moved", "the warehouse no longer says so")
        return said

    def _leave(self, item: Item, status: str, reason: str) -> None:
        """Give an item that is not sent a status.

        The receipt of one that was begun must not stay ``sending``: what people write into the record since would
        count as ours. It says what the vendor has of it.
        """
        if item.status == "sending":
            outcome = self._delivery.outcomes([item], {item.operation: reason})[item.operation]
            ledger.settle(self._session, [(item, outcome)])
            if outcome.status != "refused":
                return
        ledger.mark(self._session, [item], status, reason)

    def _put_off(self, items: Sequence[Item]) -> None:
        """Settle the receipts of items that wait, and give these the status ``planned`` again.

        One of which the vendor has a part stays ``sending``. The warehouse is asked anew after the wait.
        """
        self._asked_at = -ASKED_SECONDS
        why = dict.fromkeys((item.operation for item in items), PUT_OFF)
        outcomes = self._delivery.outcomes(items, why) if items else {}
        untouched = [item for item in items if outcomes[item.operation].status == "refused"]
        reasons = [item.reason for item in untouched]
        with self._session.transaction():
            ledger.settle(self._session, [(item, outcomes[item.operation]) for item in untouched])
            for item, reason in zip(untouched, reasons, strict=True):
                item.reason = reason
            ledger.mark(self._session, untouched, "planned")

    def _note_wait(self, items: Sequence[Item], waits: bool) -> None:
        """Let items of which the vendor may have a part say that the rest waits, or that it does not."""
        if items:
            ledger.note_wait(self._session, items, PART_WAITS if waits else None)

    def _is_said(self, item: Item) -> bool:
        row, fields = self._said.get(item.source_key), self._target.by_name
        return row is not None and all(
            same(fields[name].kind, change.new, wire(row[fields[name].source])) for name, change in item.fields.items()
        )

    def _filled_by_others(self, items: Sequence[Item]) -> Mapping[str, list[str]]:
        """Return what people made of the records that we made and are to archive, by id."""
        archived = [item for item in items if self._plan.undoes is not None or item.action == "archive"]
        return used_by_others(
            self._partner, [one.object_id for one in archived if one.object_id and self._archives(one)]
        )

    def _restores_erased(self, item: Item, record: Record) -> str | None:
        """Return why an archived record is not restored: it has somebody who was erased since. None where it may be."""
        if self._archives(item) or not self._target.retires(record.values):
            return None
        return self._withheld.reason(item.subject, record.values.values())

    def _archives(self, item: Item) -> bool:
        return item.action == "archive" or self._target.retires({name: one.new for name, one in item.fields.items()})

    def _settle(self, items: Sequence[Item], refused: dict[str, str]) -> None:
        if not items:
            return
        outcomes = self._delivery.outcomes(items, refused)
        self._keep([item for item in items if outcomes[item.operation].status in ("written", "partial")])
        ledger.settle(self._session, [(item, outcomes[item.operation]) for item in items])

    def _keep(self, items: Sequence[Item]) -> None:
        """Write into the warehouse what the vendor has now. Where that fails the next sync does it."""
        if self._target.keep is None or not items:
            return
        if problem := self._target.keep(Written(self._url, self._plan, self._by, items), self._partner):
            log.warning("%s: not in the warehouse yet, the next sync brings it: %s", self._target.name, problem)
            for item in items:
                item.reason = f"not in the warehouse yet, the next sync brings it: {problem}"

    def _moved(self, item: Item, record: Record | None) -> str | None:
        """Return why a record is not as planned; None where it is. Of what was sent before, a part may be new."""
        if item.action == "create":
            return None if record is None else "the vendor has a record of this key by now"
        if record is None:
            return "the vendor has no living record of this id any more"
        if self._target.is_retired_since(item.fields, record.values):
            return f"{self._target.retired_word} at the vendor since it was planned"
        if item.status == "sending" and self._delivery.is_ours(item, record):
            return None
        changed = sorted(name for name, change in item.fields.items() if record.values.get(name) != change.old)
        return f"changed at the vendor since it was planned: {', '.join(changed)}" if changed else None

"""Deliver a batch: send it, find the records that the vendor refuses, read back what the vendor has now.

The truth is what is read back. A write whose answer is lost is not repeated: what is read back says which records are
left, and only these are sent again. A batch that the vendor refuses is halved until the refused record is found; once
the first half is accepted the other half is known to be bad, and is halved without being sent. So one bad record among
100 costs 13 writes at most.

Before each attempt is asked which of the records may still be sent. An attempt that would have to wait is not made, but
asked about anew after the wait.
"""

import logging
from collections.abc import Callable, Mapping, Sequence

from warehouse_pipelines.errors import (
    AnswerChanged,
    OutcomeUnknown,
    RequestRefused,
    VendorUnavailable,
    WarehouseError,
    WritePostponed,
)
from warehouse_pipelines.model.reading import ReadContext
from warehouse_pipelines.outbound.ledger import Change, Item, Outcome
from warehouse_pipelines.outbound.partner import Partner, Record, Reply
from warehouse_pipelines.outbound.target import Target
from warehouse_pipelines.outbound.values import linked, same
from warehouse_pipelines.sources._http import ATTEMPTS, LONGEST_WAIT, backoff

log = logging.getLogger("warehouse")

ROUNDS = ATTEMPTS
"""How often in a row what is left of a batch is sent in vain, before the next run goes on with it."""

LOOKS = 3
"""How often is looked for a record that the vendor says it wrote and does not show."""


class _BatchRefused(Exception):
    """The vendor refused a batch as a whole, and did nothing of it."""


class Delivery:
    """Delivers the items of one plan, batch by batch."""

    def __init__(
        self, target: Target, partner: Partner, context: ReadContext, begin: Callable[[Sequence[Item]], list[Item]],
        put_off: Callable[[Sequence[Item]], None], note_wait: Callable[[Sequence[Item], bool], None],
    ) -> None:  # fmt: skip
        """``begin`` returns those of the items that are to be sent now, and gives them the status ``sending``.

        ``put_off`` takes that back from items that wait, as far as the vendor has nothing of them. ``note_wait`` says
        of the others that their rest waits, or with False that it does not.
        """
        self._reached: set[str] = set()  # operations of which the vendor may have something
        self._target, self._partner, self._context = target, partner, context
        self._begin, self._put_off, self._note_wait = begin, put_off, note_wait
        self._kinds = {field.name: field.kind for field in target.fields}
        self._links = {field.name for field in target.links}
        self._updated: dict[str, str] = {}

    def send(self, items: Sequence[Item]) -> dict[str, str]:
        """Send items of one action; return what was refused, by operation.

        What is not to be sent any more has another status than ``sending`` then. Raises ``VendorUnavailable`` when
        answers were lost, or the batch put off, again and again, and as ``begin`` and the vendor's client do; what was
        sent then is told by ``outcomes``, and the rest is put off.
        """
        self._reached |= {item.operation for item in items if item.status == "sending"}
        try:
            return self._send(items, known_bad=False, message="")
        except WarehouseError:
            untouched = [item for item in items if item.status == "sending" and item.operation not in self._reached]
            if untouched:
                self._put_off(untouched)
            raise

    def _send(self, items: Sequence[Item], *, known_bad: bool, message: str) -> dict[str, str]:
        if not known_bad:
            try:
                return self._once(items)
            except _BatchRefused as refused:
                message = str(refused)
        if len(items) == 1:
            return {items[0].operation: message}
        half = len(items) // 2
        first = self._send(items[:half], known_bad=False, message=message)
        all_sent = all(item.status == "sending" for item in items[:half])
        return first | self._send(items[half:], known_bad=not first and all_sent, message=message)

    def _once(self, items: Sequence[Item]) -> dict[str, str]:
        """Send a batch until its outcome is known. Raises ``_BatchRefused`` where nothing of it was done."""
        left, in_vain, anew = list(items), 0, False
        while in_vain < ROUNDS:
            self._reached -= {item.operation for item in left if item.status == "planned"}
            left = self._begin([item for item in left if item.status in ("planned", "sending")])
            if not left:
                return {}
            before = len(left)
            try:
                reply = self._write(left, in_vain + 1)
            except WritePostponed as postponed:
                left = self._wait(left, postponed)
            except (OutcomeUnknown, AnswerChanged) as unknown:
                log.warning("%s: %s; reading back", self._target.name, unknown)
                self._context.pause(self._target.crm, backoff(in_vain + 1))
                left = self.left(left)
            except RequestRefused as refused:
                if not anew:
                    raise _BatchRefused(str(refused)) from refused
                # Halving what is left finds the record as well.
                return self._send(left, known_bad=len(left) > 1, message="refused after a lost answer")
            else:
                self._updated |= reply.updated_at
                return dict(reply.refused)
            in_vain, anew = in_vain + 1 if len(left) == before else 0, True
        raise VendorUnavailable(
            f"{self._target.name}: {ROUNDS} attempts in a row wrote nothing; the next `apply` reads back and goes on"
        )

    def _write(self, items: Sequence[Item], attempt: int) -> Reply:
        """Write a batch once, and note of which items the vendor may have something."""
        operations = {item.operation for item in items}
        with self._partner.client.at_once(attempt) as block:
            try:
                reply = self._partner.write(items[0].action, [item.write for item in items])
            except WarehouseError as error:
                if block.touched or isinstance(error, OutcomeUnknown):
                    self._reached |= operations
                raise
        self._reached |= operations if block.touched else operations - reply.refused.keys()
        return reply

    def _wait(self, items: Sequence[Item], postponed: WritePostponed) -> list[Item]:
        """Put off what the vendor has nothing of, wait, and return what is left. Only what it has a part of is read.

        Raises ``VendorUnavailable`` for a wait that is too long.
        """
        log.warning("%s: %s; put off for %.1f s", self._target.name, postponed, postponed.seconds)
        if untouched := [item for item in items if item.operation not in self._reached]:
            self._put_off(untouched)
        reached = [item for item in items if item.operation in self._reached]
        self._note_wait(reached, True)
        if begun := self.left(reached):
            self._put_off(begun)
        self._note_wait([item for item in reached if item not in begun], False)
        waiting = {item.operation for item in [*untouched, *begun]}
        if waiting and postponed.seconds > LONGEST_WAIT:
            raise VendorUnavailable(
                f"{postponed}, and asks to wait {postponed.seconds:.0f} s; the next `apply` goes on"
            ) from postponed
        if waiting:
            self._context.pause(self._target.crm, postponed.seconds)
        return [item for item in items if item.operation in waiting]

    def reached(self, item: Item) -> bool:
        """Return whether the vendor may have something of an item."""
        return item.operation in self._reached

    def left(self, items: Sequence[Item]) -> list[Item]:
        """Return the items of which the vendor has done nothing, or not all, and that nobody else has changed."""
        there = self.current(items)
        return [item for item in items if self._is_left(item, there.get(item.operation))]

    def _is_left(self, item: Item, record: Record | None) -> bool:
        if item.action == "create":
            return record is None
        if record is None or item.action == "archive":
            return record is not None
        done = [self._same(name, change.new, record) for name, change in item.fields.items()]
        return not all(done) and self.is_ours(item, record)

    def is_ours(self, item: Item, record: Record) -> bool:
        """Return whether each field has its old value, or what we sent, or of a link some of what we sent."""
        return all(
            record.values.get(name) == change.old
            or self._same(name, change.new, record)
            or (name in self._links and _between(change, linked(record.values.get(name))))
            for name, change in item.fields.items()
        )

    def current(self, items: Sequence[Item]) -> dict[str, Record]:
        """Return what the vendor has now of these items, by operation; of a create by its key, whoever made it."""
        if not items:
            return {}
        if items[0].action == "create":
            keys = {item.operation: item.fields[self._target.key].new or "" for item in items}
            by_key = self._partner.read_by_key(list(keys.values()))
            return {operation: by_key[key] for operation, key in keys.items() if key in by_key}
        by_id = self._partner.read([item.object_id for item in items if item.object_id])
        return {item.operation: by_id[item.object_id] for item in items if item.object_id in by_id}

    def outcomes(self, items: Sequence[Item], refused: Mapping[str, str]) -> dict[str, Outcome]:
        """Read back what was sent, and return what became of each item.

        What was refused, and of which the vendor can have nothing, is not read.
        """
        found = {
            item.operation: Outcome("refused", {}, refused[item.operation])
            for item in items
            if item.operation in refused and item.operation not in self._reached
        }
        looked_for = [item for item in items if item.operation not in found]
        for look in range(1, LOOKS + 1):
            there = self.current(looked_for)
            for item in looked_for:
                found[item.operation] = self._outcome(item, there.get(item.operation), refused.get(item.operation))
            looked_for = [
                item
                for item in looked_for
                if found[item.operation].status == "refused" and item.operation not in refused
            ]
            if not looked_for:
                break
            if look < LOOKS:
                self._context.pause(self._target.crm, backoff(look))
        return found

    def _outcome(self, item: Item, record: Record | None, refusal: str | None) -> Outcome:
        if item.action == "archive":
            if record is None:
                return Outcome("written", {})
            return Outcome("refused", {}, refusal or "the vendor said that it archived it, and still has it")
        if record is None:
            said = "the vendor did not refuse it, and does not have it"
            return Outcome("refused", {}, refusal or said)
        if item.action == "create" and record.operation != item.operation:
            return Outcome("refused", {}, refusal or "somebody else made a record of this key meanwhile")
        item.object_id = record.id
        stored = {name: record.values.get(name) for name in item.fields if self._is_stored(item, name, record)}
        if len(stored) == len(item.fields) and not self._target.is_retired_since(item.fields, record.values):
            return Outcome("written", stored)
        others = ", ".join(sorted(item.fields.keys() - stored.keys()))
        half = {
            name: record.values.get(name)
            for name in self._links & item.fields.keys() - stored.keys()
            if _is_half_done(item.fields[name], linked(record.values.get(name)))
        }
        if len(stored) == len(item.fields):
            return Outcome("partial", stored, f"written, and {self._target.retired_word} at the vendor")
        wrote = any(change.old != change.new for name, change in item.fields.items() if name in stored)
        if wrote or half or item.action == "create":
            return Outcome("partial", stored, refusal or f"not as it was sent: {others}", half)
        if not item.fields.keys() <= self._kinds.keys():
            return Outcome("partial", stored, f"not read back, because {self._target.name} has no such field: {others}")
        return Outcome("refused", {}, refusal or f"the vendor did not refuse it, and has not stored {others}")

    def _is_stored(self, item: Item, name: str, record: Record) -> bool:
        """Return whether a field has what we sent, if need be in a form of the vendor's own.

        Another value is the vendor's form of ours if nobody has changed the record since the answer to our write; not
        that of a link, whose associations change no record.
        """
        change = item.fields[name]
        if name in self._links or self._same(name, change.new, record):
            return self._same(name, change.new, record)
        if record.values.get(name) == change.old and change.old is not None:
            return False
        has = record.values.get(name)
        return has is not None and record.updated_at is not None and self._updated.get(record.id) == record.updated_at

    def _same(self, name: str, value: str | None, record: Record) -> bool:
        return same(self._kinds.get(name, "text"), value, record.values.get(name))


def _is_half_done(change: Change, has: set[str]) -> bool:
    """Return whether a link has a part of what was sent, so that an undo has something to take back."""
    return has != linked(change.old) and _between(change, has)


def _between(change: Change, has: set[str]) -> bool:
    """Return whether a link has what both values have, and nothing that neither has."""
    old, new = linked(change.old), linked(change.new)
    return old & new <= has <= old | new

"""Verify what a plan wrote, and undo it: a plan of its own, made of receipts.

A field is restored if the vendor still has what it made of our write, or a part of that which an earlier undo left;
what somebody changed since stays, and is told, unless it is what was there before. So does an association that others
labelled, where the vendor takes theirs away with ours.
A record that we created is archived, unless somebody changed one of its fields since, filled one of their own, or
associated it with another record. An archived record is not restored: no vendor's API does that.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from warehouse_pipelines.errors import WrongUse
from warehouse_pipelines.loading.erased import last_erasure
from warehouse_pipelines.outbound import ledger
from warehouse_pipelines.outbound.ledger import Change, Item, Plan, Receipt
from warehouse_pipelines.outbound.partner import Partner, Record, batches
from warehouse_pipelines.outbound.target import Target
from warehouse_pipelines.outbound.values import Value, link_value, linked

if TYPE_CHECKING:
    from warehouse_pipelines.warehouse import Session


class Verdict(NamedTuple):
    """What the vendor has now of a record that a plan wrote.

    ``changed`` are fields that somebody changed since, ``lacking`` those that were never written as they were sent.
    """

    receipt: Receipt
    record: Record | None
    changed: tuple[str, ...]
    lacking: tuple[str, ...] = ()

    @property
    def holds(self) -> bool:
        if self.receipt.action == "archive":
            return self.record is None
        return self.record is not None and not self.changed and not self.lacking


def verify(session: "Session", target: Target, plan: Plan, partner: Partner) -> list[Verdict]:
    """Read back every record that a plan wrote, and compare it with the receipts."""
    receipts = ledger.receipts(session, plan.plan_id)
    found: dict[str, Record] = {}
    ids = list(dict.fromkeys(receipt.object_id for receipt in receipts if receipt.object_id))
    for batch in batches(ids, partner.most):
        found |= partner.read(batch)
    created = [one.object_id for one in receipts if one.action == "create" and one.object_id in found]
    others: dict[str, list[str]] = {}
    for batch in batches([one for one in created if one], partner.most):
        others |= partner.filled_by_others(batch)
    return [
        _verdict(target, one, found.get(one.object_id or ""), others.get(one.object_id or "", [])) for one in receipts
    ]


def _verdict(target: Target, receipt: Receipt, record: Record | None, others: Sequence[str]) -> Verdict:
    if record is None:
        return Verdict(receipt, None, ())
    stored = receipt.stored
    lacking = sorted(
        name
        for name, one in receipt.fields.items()
        if receipt.action != "archive" and name not in stored and record.values.get(name) != one["sent"]
    )
    if receipt.action == "create":  # what we left empty is to be empty still
        stored = {
            **dict.fromkeys(record.values),
            **{name: one["sent"] for name, one in receipt.fields.items()},
            **stored,
        }
    changed = [name for name, value in stored.items() if record.values.get(name) != value]
    if target.retired and target.is_retired_since(receipt.fields, record.values):
        changed.append(target.retired[0])
    return Verdict(receipt, record, tuple(sorted({*changed, *others})), tuple(lacking))


def make(session: "Session", target: Target, plan: Plan, partner: Partner, *, by: str) -> int:
    """Write the plan that undoes a plan, and return its number.

    Raises ``WrongUse`` where there is nothing to undo, and as ``ledger.write_plan`` does.
    """
    plan = ledger.plan(session, str(plan.plan_id))
    if plan.undoes is not None or plan.status == "undone":
        raise WrongUse(f"plan {plan.plan_id} is {'an undo' if plan.undoes else 'undone already'}.")
    if plan.statuses.get("sending"):
        raise WrongUse(f"of plan {plan.plan_id} not all outcomes are known; apply it again first.")
    erased = last_erasure(session)
    verdicts = verify(session, target, plan, partner)
    if not verdicts:
        raise WrongUse(f"plan {plan.plan_id} has written nothing.")
    half = ledger.half_undone(session, plan.plan_id)
    made = [one.record.id for one in verdicts if one.receipt.action == "create" and one.record]
    associated: dict[str, list[str]] = {}
    for batch in batches(made, partner.most):
        associated |= partner.associated_by_others(batch)
    items = []
    for one in reversed(verdicts):
        item = _undone(target, one, half, associated.get(one.receipt.object_id or "", []), partner)
        items += [item] if item is not None else []
    return ledger.write_plan(
        session, target.name, items, rows=plan.rows, unchanged=len(verdicts) - len(items), kept=_kept(items), by=by,
        last_erasure=erased, undoes=plan.plan_id, supersedes=bool(target.source),
    )  # fmt: skip


def _kept(items: Sequence[Item]) -> int:
    return sum(item.reason is not None for item in items)


def _undone(
    target: Target, verdict: Verdict, half: Mapping[tuple[str, str], Value], associated: Sequence[str], partner: Partner
) -> Item | None:
    """Return what takes a write back; None where there is nothing to take back.

    ``half`` has the links of which an earlier undo took back a part, ``associated`` what people associated the record
    with.
    """
    receipt, record = verdict.receipt, verdict.record
    item = Item(
        action="update", source_key=receipt.source_key, subject=receipt.subject, object_id=receipt.object_id, fields={}
    )
    if receipt.action == "archive":
        item.status, item.reason = "refused", "restore it at the vendor: its API has no way to"
    elif record is None:
        if receipt.action == "create":
            return None
        item.status, item.reason = "refused", "the vendor has no living record of this id any more"
        if unreadable := partner.unreadable(receipt.object_id or ""):
            item.status, item.reason = "moved", unreadable
    elif receipt.action == "create":
        if target.retires(record.values):
            return None
        if target.retired:
            name, value = target.retired
            item.fields = {name: Change(record.values.get(name), value)}
        else:
            item.action = "archive"
            item.fields = {name: Change(value, value) for name, value in record.values.items()}
        if verdict.changed or associated:
            item.status, item.reason = "refused", _left(target, receipt, [*verdict.changed, *associated])
    elif target.is_retired_since(receipt.fields, record.values):
        item.status, item.reason = "moved", f"{target.retired_word} at the vendor since, and left as it is"
    else:
        item.fields = {
            name: change for name, change in _restored(receipt, record, half).items() if name in target.by_name
        }
        left = [
            name
            for name, one in receipt.fields.items()
            if (
                item.fields[name].new != one["before"]
                if name in item.fields
                else name not in target.by_name
                or (("stored" in one or "half" in one) and record.values.get(name) != one["before"])
            )
        ]
        if not item.fields and not left:
            return None
        item.status = "planned" if item.fields else "refused"
        if item.fields:  # what the plan named and did not change has to be the same still
            same = {name: one["sent"] for name, one in receipt.fields.items() if one["sent"] == one["before"]}
            item.fields |= {name: Change(has, has) for name, has in same.items() if record.values.get(name) == has}
        item.reason = _left(target, receipt, left) if left else None
    return item


def _restored(receipt: Receipt, record: Record, half: Mapping[tuple[str, str], Value]) -> dict[str, Change]:
    """Return the fields that the vendor has as we wrote them, or a part of a link, and what was there before."""
    fields = {}
    for name, one in receipt.fields.items():
        has, before = record.values.get(name), one["before"]
        if shared := record.shared.get(name):
            before = link_value(linked(before) | shared)
        ours = [one[key] for key in ("stored", "half") if key in one]
        if ours and (record.id, name) in half:
            ours.append(half[record.id, name])
        if has in ours and has != before:
            fields[name] = Change(has, before)
    return fields


def _left(target: Target, receipt: Receipt, names: Sequence[str]) -> str:
    """Return why fields are left as they are."""
    dropped = {name for name in names if name in receipt.fields and name not in target.by_name}
    reasons = {
        "changed at the vendor since": [name for name in names if name not in dropped],
        f"no field of {target.name} any more": sorted(dropped),
    }
    return "; ".join(f"{why}, and left as it is: {', '.join(some)}" for why, some in reasons.items() if some)

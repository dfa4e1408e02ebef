"""Plans, their items and receipts, as ``reverse_etl`` keeps them.

What is about to be sent stands in a receipt before it is sent, so whoever is killed in between finds it and reads back.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple, cast
from uuid import uuid4

from warehouse_pipelines.errors import TryAgain, WrongUse
from warehouse_pipelines.loading.erased import erasure_held_off
from warehouse_pipelines.outbound.partner import Action, Write
from warehouse_pipelines.outbound.values import Value, Values, linked
from warehouse_pipelines.queries import query

if TYPE_CHECKING:
    from warehouse_pipelines.warehouse import Session

COUNTED = ("planned", "sending", "written", "partial", "refused", "moved", "withheld")


class Change(NamedTuple):
    """What a plan does to a field."""

    old: Value
    new: Value


@dataclass(kw_only=True)
class Item:
    """A record that a plan changes, or refuses to change."""

    action: Action
    source_key: str
    fields: Mapping[str, Change]
    object_id: str | None = None
    subject: str | None = None
    status: str = "planned"
    reason: str | None = None
    item_no: int = 0
    operation: str = field(default_factory=lambda: str(uuid4()))

    @property
    def write(self) -> Write:
        new = {name: change.new for name, change in self.fields.items()}
        return Write(self.operation, self.object_id, new, {name: change.old for name, change in self.fields.items()})


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A plan as it stands, with its items counted by action and by status."""

    plan_id: int
    target: str
    undoes: int | None
    status: str
    rows: int
    unchanged: int
    kept: int
    last_erasure: int
    problem: str | None
    why: str | None
    actions: Mapping[str, int]
    statuses: Mapping[str, int]

    @property
    def changes(self) -> int:
        """Records that it would still write."""
        return self.statuses.get("planned", 0) + self.statuses.get("sending", 0)


class Outcome(NamedTuple):
    """What became of an item: ``stored`` are the fields that we wrote, ``half`` links of which we wrote a part.

    Both as the vendor has them.
    """

    status: str
    stored: Values
    message: str | None = None
    half: Mapping[str, Value] = MappingProxyType({})


class Sent(NamedTuple):
    """What we last wrote into a field, and what the vendor made of it."""

    sent: Value
    stored: Value


@dataclass(frozen=True, kw_only=True)
class Receipt:
    """What was sent of one record. ``fields`` has before, sent, and stored or half, as ``Outcome`` has them."""

    operation: str
    action: Action
    source_key: str
    subject: str | None
    object_id: str | None
    fields: Mapping[str, Mapping[str, Value]]
    status: str

    @property
    def stored(self) -> Values:
        return {name: one["stored"] for name, one in self.fields.items() if "stored" in one}

    @property
    def half(self) -> Values:
        return {name: one["half"] for name, one in self.fields.items() if "half" in one}


def write_plan(
    session: "Session", target: str, items: Sequence[Item], *, rows: int, unchanged: int, kept: int, by: str,
    last_erasure: int, undoes: int | None = None, why: str | None = None, supersedes: bool = True,
) -> int:  # fmt: skip
    """Write a plan and return its number; those of the target that nobody applied are superseded, if it is of all rows.

    ``last_erasure`` is that of when its rows were read. Raises ``TryAgain`` if somebody was erased since: the items
    would keep what the erasure deleted.
    """
    with session.transaction():
        if erasure_held_off(session) != last_erasure:
            raise TryAgain(f"a person was erased while the plan of {target} was made; nothing was kept. Plan again.")
        if supersedes:
            session.execute(
                "UPDATE reverse_etl.plan SET status = 'superseded' WHERE target = %s AND status = 'planned'", [target]
            )
        made = session.execute(
            "INSERT INTO reverse_etl.plan (target, undoes, rows, unchanged, kept, created_by, last_erasure, why)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s, %s) RETURNING plan_id",
            [target, undoes, rows, unchanged, kept, by, last_erasure, why],
        ).fetchone()
        assert made is not None  # noqa: S101  (RETURNING)
        with session.cursor().copy(
            "COPY reverse_etl.plan_item (plan_id, item_no, action, source_key, subject, object_id, operation_id,"
            " fields, status, reason) FROM STDIN"
        ) as copy:
            for number, item in enumerate(items, 1):
                fields = {name: change._asdict() for name, change in item.fields.items()}
                copy.write_row((
                    made["plan_id"], number, item.action, item.source_key, item.subject, item.object_id,
                    item.operation, json.dumps(fields), item.status, item.reason,
                ))  # fmt: skip
    return int(made["plan_id"])


def is_number(named: str) -> bool:
    """Return whether a word is the number that a plan may have, and not the name of a target."""
    return named.isascii() and named.isdigit() and len(named) <= 18


def plan(session: "Session", named: str, *, sent: bool = False) -> Plan:
    """Return a plan by its number, or the newest of a target that is no undo; of ``sent`` ones, if that is asked for.

    Raises ``WrongUse`` when there is none.
    """
    condition = "plan_id = %s" if is_number(named) else "target = %s AND undoes IS NULL"
    if sent and not is_number(named):
        condition += " AND status IN ('applying', 'applied', 'partial')"
    found = _plans(session, f"WHERE {condition} ORDER BY plan_id DESC LIMIT 1", named)
    if not found:
        raise WrongUse(f"There is no plan {named}. `warehouse outbound plan TARGET` makes one.")
    return found[0]


def plans(session: "Session", limit: int = 20) -> list[Plan]:
    """Return the newest plans."""
    return _plans(session, "ORDER BY plan_id DESC LIMIT %s", limit)


def open_plans(session: "Session", target: str) -> list[Plan]:
    """Return the plans of a target that were not applied to their end."""
    return _plans(session, "WHERE target = %s AND status = 'applying' ORDER BY plan_id", target)


def unknown_fields(session: "Session", plan_id: int, known: Iterable[str]) -> list[str]:
    """Return the fields beside the ``known`` ones that a plan would still write."""
    found = session.execute(
        "SELECT DISTINCT f.name FROM reverse_etl.plan_item AS i, jsonb_object_keys(i.fields) AS f (name)"
        " WHERE i.plan_id = %s AND i.status IN ('planned', 'sending') AND f.name <> ALL(%s) ORDER BY 1",
        [plan_id, list(known)],
    ).fetchall()
    return [row["name"] for row in found]


def newer_plan(session: "Session", plan: Plan) -> int | None:
    """Return the number of the newest plan of the same target that was made later and not superseded, if any."""
    found = session.execute(
        "SELECT max(plan_id) AS plan_id FROM reverse_etl.plan"
        " WHERE target = %s AND plan_id > %s AND status <> 'superseded'",
        [plan.target, plan.plan_id],
    ).fetchone()
    return found["plan_id"] if found else None


def _plans(session: "Session", which: str, given: str | int) -> list[Plan]:
    """Return plans with their items counted. ``which`` is the end of the statement, with one parameter."""
    found = session.execute(f"{query('outbound_plans')} {which}", [given]).fetchall()
    names = ("plan_id", "target", "undoes", "status", "rows", "unchanged", "kept", "last_erasure", "problem", "why")
    made = []
    for row in found:
        actions: Counter[str] = Counter()
        statuses: Counter[str] = Counter()
        for action, status, number in row["counted"] or ():
            actions[action] += number
            statuses[status] += number
        made.append(Plan(**{name: row[name] for name in names}, actions=dict(actions), statuses=dict(statuses)))
    return made


def items(session: "Session", plan_id: int, statuses: Iterable[str] = (), limit: int | None = None) -> list[Item]:
    """Return the items of a plan in their order, those of these statuses or all."""
    found = session.execute(
        "SELECT * FROM reverse_etl.plan_item WHERE plan_id = %s AND status = ANY(%s)"
        " ORDER BY CASE action WHEN 'create' THEN 1 WHEN 'update' THEN 2 ELSE 3 END, item_no LIMIT %s",
        [plan_id, list(statuses) or list(COUNTED), limit],
    ).fetchall()
    return [
        Item(
            action=row["action"],
            source_key=row["source_key"],
            subject=row["subject"],
            object_id=row["object_id"],
            operation=str(row["operation_id"]),
            fields={name: Change(one["old"], one["new"]) for name, one in row["fields"].items()},
            status=row["status"],
            reason=row["reason"],
            item_no=row["item_no"],
        )
        for row in found
    ]


def mark(session: "Session", items: Sequence[Item], status: str, reason: str | None = None) -> None:
    """Give items a status, and a reason where it is not their own."""
    for item in items:
        item.status, item.reason = status, reason or item.reason
    with session.cursor() as cursor:
        cursor.executemany(
            "UPDATE reverse_etl.plan_item SET status = %s, reason = %s, object_id = %s WHERE operation_id = %s",
            [(item.status, item.reason, item.object_id, item.operation) for item in items],
        )


def begin(session: "Session", plan: Plan, items: Sequence[Item]) -> None:
    """Write down that these are sent now, before they are."""
    with session.transaction():
        mark(session, items, "sending")
        with session.cursor() as cursor:
            cursor.executemany(
                query("outbound_begin"),
                [
                    {
                        "operation": item.operation, "plan": plan.plan_id, "target": plan.target,
                        "action": item.action, "key": item.source_key, "subject": item.subject,
                        "object": item.object_id,
                        "fields": json.dumps({
                            name: {"before": change.old, "sent": change.new} for name, change in item.fields.items()
                        }),
                    }
                    for item in items
                ],
            )  # fmt: skip


def settle(session: "Session", outcomes: Sequence[tuple[Item, Outcome]]) -> None:
    """Write down what became of items."""
    rows = []
    for item, outcome in outcomes:
        item.status, item.reason = outcome.status, outcome.message or item.reason
        fields = {
            name: {
                "before": change.old, "sent": change.new,
                **({"stored": outcome.stored[name]} if name in outcome.stored else {}),
                **({"half": outcome.half[name]} if name in outcome.half else {}),
            }
            for name, change in item.fields.items()
        }  # fmt: skip
        rows.append({
            "status": item.status, "object": item.object_id, "fields": json.dumps(fields),
            "message": outcome.message, "reason": item.reason, "operation": item.operation,
        })  # fmt: skip
    with session.transaction(), session.cursor() as cursor:
        cursor.executemany(query("outbound_settle"), rows)


def note_wait(session: "Session", items: Sequence[Item], message: str | None) -> None:
    """Write down why what is left of items waits, behind what is their own reason; None for what waits no more.

    They stay ``sending``, because a part of them may be there.
    """
    operations = [item.operation for item in items]
    session.execute("UPDATE reverse_etl.receipt SET message = %s WHERE operation_id = ANY(%s)", [message, operations])
    with session.cursor() as cursor:
        cursor.executemany(
            "UPDATE reverse_etl.plan_item SET reason = %s WHERE operation_id = %s",
            [("; ".join(filter(None, [item.reason, message])) or None, item.operation) for item in items],
        )


def receipts(session: "Session", plan_id: int) -> list[Receipt]:
    """Return the receipts of a plan that wrote anything, in the order in which they were sent."""
    found = session.execute(
        "SELECT * FROM reverse_etl.receipt WHERE plan_id = %s AND status IN ('written', 'partial')"
        " ORDER BY sent_at, operation_id",
        [plan_id],
    ).fetchall()
    return [
        Receipt(
            operation=str(row["operation_id"]), action=cast(Action, row["action"]), source_key=row["source_key"],
            subject=row["subject"], object_id=row["object_id"], fields=row["fields"], status=row["status"],
        )
        for row in found
    ]  # fmt: skip


def half_undone(session: "Session", plan_id: int) -> dict[tuple[str, str], Value]:
    """Return the links of which the undos of a plan took back a part, as the last left them, by record and field."""
    found = session.execute(
        "SELECT r.object_id, f.key AS field, f.value ->> 'half' AS half FROM reverse_etl.plan AS p"
        " JOIN reverse_etl.receipt AS r USING (plan_id), jsonb_each(r.fields) AS f"
        " WHERE p.undoes = %s AND f.value ? 'half' ORDER BY r.sent_at",
        [plan_id],
    ).fetchall()
    return {(row["object_id"], row["field"]): row["half"] for row in found}


def was_refused(session: "Session", plan_id: int) -> bool:
    """Whether the vendor did not store all that a plan sent."""
    found = session.execute(
        "SELECT EXISTS (SELECT FROM reverse_etl.receipt WHERE plan_id = %s AND status IN ('refused', 'partial'))"
        " AS yes",
        [plan_id],
    ).fetchone()
    return bool(found and found["yes"])


def last_sent(session: "Session", target: str, object_ids: Sequence[str]) -> dict[tuple[str, str], Sent]:
    """Return what we last wrote into each field of these records, by id and field."""
    found = session.execute(query("outbound_last_sent"), {"target": target, "ids": list(object_ids)}).fetchall()
    return {(row["object_id"], row["field"]): Sent(row["sent"], row["stored"]) for row in found}


def own_links(
    session: "Session", target: str, links: Sequence[str], object_ids: Sequence[str]
) -> dict[tuple[str, str], set[str]]:
    """Return what these records are linked to by us, by id and field: what we added, and did not take away since.

    What was not there when we next wrote the link, and came back, is other people's.
    """
    if not links:
        return {}
    values = {"target": target, "links": list(links), "ids": list(object_ids)}
    ours: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
    for row in session.execute(query("outbound_link_receipts"), values).fetchall():
        before, after, of = linked(row["before"]), linked(row["after"]), (row["object_id"], row["field"])
        ours[of] = (ours[of] & before & after) | (after - before)
    return ours


def last_refused(session: "Session", target: str, object_ids: Sequence[str]) -> set[str]:
    """Return which of these records the vendor refused when they were last sent."""
    found = session.execute(query("outbound_last_refused"), {"target": target, "ids": list(object_ids)}).fetchall()
    return {row["object_id"] for row in found}


def created(session: "Session", target: str) -> dict[str, str]:
    """Return the records that we created and did not archive again, key by id."""
    found = session.execute(query("outbound_created"), {"target": target}).fetchall()
    return {row["object_id"]: row["source_key"] for row in found}


def set_status(
    session: "Session", plan_id: int, status: str, *, by: str | None = None, problem: str | None = None
) -> None:
    """Give a plan a status."""
    session.execute(query("outbound_plan_status"), {"plan": plan_id, "status": status, "by": by, "problem": problem})

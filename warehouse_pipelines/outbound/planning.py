"""Plan: what a target would write, compared with what the vendor has now. It writes nothing to the vendor.

Where a target lists everything (``lists_all``), records are found by key, else by what the row says is matched. Else
rows name the record, and those that the warehouse last saw as they should be are not asked about.

What we wrote comes back with the next delta and is no change: a value that the vendor keeps in a form of its own is
compared with what it made of the same value when we last wrote it.

Records that the vendor refused when they were last sent go behind the rest, so that they stop nothing else.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from warehouse_pipelines.errors import ActionNeeded, SuspiciousRead, WrongUse
from warehouse_pipelines.outbound import ledger
from warehouse_pipelines.outbound.ledger import Change, Item, Sent
from warehouse_pipelines.outbound.partner import Partner, Record, batches, used_by_others
from warehouse_pipelines.outbound.target import Field, Target
from warehouse_pipelines.outbound.values import link_value, linked, must_stay, same, wire
from warehouse_pipelines.outbound.withheld import Withheld
from warehouse_pipelines.settings import settings

if TYPE_CHECKING:
    from warehouse_pipelines.warehouse import Session

Row = Mapping[str, Any]


def make(session: "Session", target: Target, partner: Partner, *, by: str) -> int:
    """Write a plan of the target and return its number.

    Raises ``ActionNeeded`` where the vendor lacks the object or a property, ``SuspiciousRead`` for a query without a
    row where records were written before, and as the vendor's client does.
    """
    if not target.source:
        raise WrongUse(f"{target.name} has no query to plan from: `warehouse google --help` says how it is written.")
    if lacking := partner.lacking():
        raise ActionNeeded(
            f"{target.name}: {'; '.join(lacking)}. `warehouse outbound prepare {target.name} --yes` makes it."
        )
    rows = rows_of(session, target)
    if not rows and ledger.created(session, target.name):
        raise SuspiciousRead(
            f"{target.name}: the query found no row, though records were written before. Was a source emptied?"
        )
    planning = _Planning(session, target, partner)
    planning.judge(rows)
    ids = [item.object_id for item in planning.items if item.status == "planned" and item.object_id]
    refused = ledger.last_refused(session, target.name, ids)
    planning.items.sort(key=lambda item: item.object_id in refused)
    return ledger.write_plan(
        session, target.name, planning.items, rows=len(rows), unchanged=planning.unchanged, kept=planning.kept, by=by,
        last_erasure=planning.withheld.last,
    )  # fmt: skip


def rows_of(session: "Session", target: Target) -> Sequence[Row]:
    """Return what the query of a target says now."""
    return session.execute(target.source, {"organization": settings().crm_organization_id}).fetchall()


@dataclass
class _Planning:
    """One plan in the making."""

    session: "Session"
    target: Target
    partner: Partner
    items: list[Item] = field(default_factory=list)
    unchanged: int = 0
    kept: int = 0

    def __post_init__(self) -> None:
        self.withheld = Withheld.read(self.session)

    def judge(self, rows: Sequence[Row]) -> None:
        """Compare all rows with the vendor."""
        rows = self._with_links(list(self._sendable(rows)))
        partners = self._listed(rows) if self.target.lists_all else self._asked(rows)
        taken: Counter[str] = Counter(record.id for record in partners.values() if record)
        sent = ledger.last_sent(self.session, self.target.name, list(taken))
        links = [one.name for one in self.target.links]
        ours = ledger.own_links(self.session, self.target.name, links, list(taken))
        for row in rows:
            key = str(row["key"])
            if key not in partners:
                continue
            record = partners[key]
            if record is None:
                if self.target.key:
                    self._create(row)
                else:
                    unreadable = self.partner.unreadable(str(row["object_id"]))
                    self._refuse(row, unreadable or "the vendor has no living record of this id", row["object_id"])
            elif taken[record.id] > 1:
                self._refuse(row, "two rows lead to this record of the vendor", record.id)
            else:
                self._update(row, record, sent, ours)

    def _sendable(self, rows: Sequence[Row]) -> Iterable[Row]:
        """Yield the rows that may be sent, and refuse the others."""
        seen = Counter(str(row["key"]) for row in rows)
        for row in rows:
            if row["key"] is None or seen[str(row["key"])] > 1:
                self._refuse(row, "the key of this row is not unique")
            elif reason := self.withheld.reason(self._subject(row), self._plain(row)):
                self._refuse(row, reason, status="withheld")
            else:
                yield row

    def _with_links(self, rows: Sequence[Row]) -> Sequence[Row]:
        """Return the rows with the vendor's ids of the records that they are linked to, as far as these are there."""
        for one in self.target.links:
            ids = self.partner.linked_ids(one.name)
            rows = [{**row, one.source: ids.get(str(row.get(one.source)))} for row in rows]
        return rows

    def _plain(self, row: Row) -> list[str | None]:
        """Return the values of a row; a single field that is hashed here is left out instead of its row."""
        return [value for value in map(wire, self._of_fields(row).values()) if not must_stay(value)]

    def _of_fields(self, row: Row) -> dict[str, Any]:
        return {field.name: row.get(field.source) for field in self.target.fields}

    def _subject(self, row: Row) -> str | None:
        return f"{self.target.subject}:{row['key']}" if self.target.subject else None

    def _refuse(self, row: Row, reason: str, object_id: str | None = None, status: str = "refused") -> None:
        self.items.append(
            Item(
                action="update", source_key=str(row["key"]), fields={}, object_id=object_id, status=status,
                subject=self._subject(row), reason=reason,
            )
        )  # fmt: skip

    def _listed(self, rows: Sequence[Row]) -> dict[str, Record | None]:
        """Return the partner of each row among all records of the vendor, None where there is none."""
        target = self.target
        by_key: dict[str, Record] = {}
        by_match: dict[str, list[Record]] = {}
        found: dict[str, Record | None] = {}
        records = list(self.partner.everything())
        for one in records:
            if key := one.values.get(target.key):
                by_key[key] = one
            elif target.match and (value := one.values.get(target.match)):
                by_match.setdefault(value.lower(), []).append(one)
        for row in rows:
            key = str(row["key"])
            record: Record | None = by_key.get(key)
            if record is None and target.match:
                value = wire(row.get(target.by_name[target.match].source))
                alike = by_match.get(value.lower(), []) if value else []
                if len(alike) > 1:
                    self._refuse(row, f"{len(alike)} records of the vendor have its {target.match}")
                    continue
                record = next(iter(alike), None)
            found[key] = record
        self._archive(rows, {one.id: one for one in records})
        return found

    def _archive(self, rows: Sequence[Row], there: Mapping[str, Record]) -> None:
        """Archive what we created and what has no row any more."""
        if self.target.absent != "archive":
            return
        keys = {str(row["key"]) for row in rows}
        withheld = {item.source_key for item in self.items}
        archived: list[Item] = []
        for object_id, key in ledger.created(self.session, self.target.name).items():
            record = there.get(object_id)
            if record is not None and key not in keys | withheld:
                values = {name: Change(value, value) for name, value in record.values.items()}
                archived.append(
                    Item(
                        action="archive", source_key=key, fields=values, object_id=object_id,
                        reason="no row has this key any more",
                    )
                )  # fmt: skip
        used = used_by_others(self.partner, [item.object_id for item in archived if item.object_id])
        for item in archived:
            if names := used.get(item.object_id or ""):
                item.status, item.reason = (
                    "refused",
                    f"no row has this key any more, and people use it: {', '.join(names)}",
                )
        self.items += archived

    def _asked(self, rows: Sequence[Row]) -> dict[str, Record | None]:
        """Return the record of each row that the warehouse does not know to be as it should be."""
        asked = []
        for row in rows:
            if row["mirrored"] is not None and not self._differences(row, row["mirrored"]):
                self.unchanged += 1
            else:
                asked.append(row)
        records: dict[str, Record] = {}
        ids = list(dict.fromkeys(str(row["object_id"]) for row in asked))
        for batch in batches(ids, self.partner.most):
            records |= self.partner.read(batch)
        return {str(row["key"]): records.get(str(row["object_id"])) for row in asked}

    def _differences(self, row: Row, has: Mapping[str, Any]) -> bool:
        return any(
            not same(field.kind, wire(row.get(field.source)), wire(has.get(field.name)))
            for field in self.target.fields
            if field.clears or wire(row.get(field.source)) is not None
        )

    def _create(self, row: Row) -> None:
        values = {name: wire(value) for name, value in self._of_fields(row).items()}
        self.items.append(
            Item(
                action="create", source_key=str(row["key"]), subject=self._subject(row),
                fields={
                    name: Change(None, value)
                    for name, value in values.items()
                    if value is not None and not must_stay(value)
                },
            )
        )  # fmt: skip

    def _update(
        self, row: Row, record: Record, sent: Mapping[tuple[str, str], Sent], ours: Mapping[tuple[str, str], set[str]]
    ) -> None:
        changes: dict[str, Change] = {}
        for one in self.target.fields:
            of = record.id, one.name
            change = _change(one, row, record, sent.get(of), ours.get(of, set()))
            if isinstance(change, Change):
                changes[one.name] = change
            elif change is KEPT:
                self.kept += 1
        if not changes:
            self.unchanged += 1
            return
        self.items.append(
            Item(
                action="update", source_key=str(row["key"]), fields=changes, object_id=record.id,
                subject=self._subject(row),
            )
        )  # fmt: skip


KEPT = object()
"""A person changed this field at the vendor, and what they wrote stays."""


def _change(field: Field, row: Row, record: Record, last: Sent | None, ours: set[str]) -> Change | object | None:
    """Return the change of a field, ``KEPT``, or None for none; ``ours`` are the ids that we linked it to."""
    new, old = wire(row.get(field.source)), record.values.get(field.name)
    if field.link:
        dropped = (ours - linked(new)) & linked(old) if new or field.clears else set()
        stays = dropped & record.shared.get(field.name, set())
        new = link_value(linked(old) - (dropped - stays) | linked(new))
        if stays and new == old:
            return KEPT
    if must_stay(new) or same(field.kind, new, old) or (new is None and not field.clears):
        return None
    if last is not None and (last.sent or None) == new and last.stored == old:
        return None  # what the vendor made of it when we wrote it
    if field.owner == "theirs":
        return KEPT if old is not None else None
    if field.owner == "newest" and old != (last.stored if last else None):
        return KEPT
    return Change(old, new)

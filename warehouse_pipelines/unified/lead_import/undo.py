"""Undo an import, and list those there are.

Decided:

- A lead that the import made is deleted softly, unless somebody changed it since, enrolled it, listed it, or another
  import has it too. Scores and ``golden_id``, which programs write, are no work; neither is what the feed wrote.
- One that the feed took over stays, as the lead of the sources: what the file said of it goes with the next feed, and
  the consents that it gave at once.
- A field that the import changed is put back when it still has the imported value; a tag or a consent that it added is
  taken off again. A consent that was taken back, and the do-not-call list, stay: nothing is allowed again by undoing.
  It is said of a consent that was taken back on a lead that is deleted: who imports that person again starts anew.
- Of a lead that became part of another one, what it lent to that is taken off there (``lent``).
- It is one transaction, and afterwards the file can be imported anew.
"""

import copy
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any
from uuid import UUID

from warehouse_pipelines.errors import WrongUse
from warehouse_pipelines.queries import query
from warehouse_pipelines.unified.acting import acting
from warehouse_pipelines.unified.lead_import import lent, store
from warehouse_pipelines.unified.lead_import.run import alone, masking

if TYPE_CHECKING:
    from psycopg import Cursor

    from warehouse_pipelines.warehouse import Session

AT_ONCE = 1000

HANDED_OVER = "a source has this person too; what the file said goes with the next feed"
REFUSAL = "a consent that the file took back stood only in a lead that is deleted"
CHANGED = "{} was changed since, or must stay"
ALIKE = "{} stays on the lead that it became part of: the log does not say that it came from there"


@dataclass(frozen=True)
class Undone:
    """What undoing did: numbers of leads, and why those that were left were left."""

    id: UUID
    deleted: int
    put_back: int
    partly: int
    left: dict[str, int]
    """Leads by the reason for which they were left."""


def imports(session: "Session", organization_id: UUID, limit: int = 50) -> list[dict[str, Any]]:
    """Return the newest imports of an organization."""
    with acting(session, organization_id, "import"):
        return session.execute(
            "SELECT id::text, file_name, sheet, status, rows_read, created, updated, duplicates, refused, started_by,"
            " started_at, finished_at, undone_at FROM crm.lead_import ORDER BY started_at DESC LIMIT %s",
            [limit],
        ).fetchall()


def find(session: "Session", organization_id: UUID, begins: str) -> dict[str, Any]:
    """Return the import whose id begins so. Raises ``WrongUse`` when there is none, or several."""
    begins = begins.strip().lower()
    if len(begins) < 4 or set(begins) - set("0123456789abcdef-"):
        raise WrongUse(f"{begins!r} is no id of an import; `warehouse import list` has them.")
    with acting(session, organization_id, "import"):
        found = session.execute(
            "SELECT * FROM crm.lead_import WHERE starts_with(id::text, %s) ORDER BY started_at", [begins]
        ).fetchall()
    if len(found) != 1:
        raise WrongUse(
            f"{'No import' if not found else 'More than one import'} has an id that begins with {begins}; "
            "`warehouse import list` has them."
        )
    return found[0]


def undo(session: "Session", organization_id: UUID, import_id: UUID, *, by: str) -> Undone:
    """Undo an import, a finished or a broken-off one.

    Raises ``WrongUse`` when it is undone already, and ``SyncRunning`` while an import runs.
    """
    given = {"organization_id": organization_id, "import_id": import_id}
    with masking(), alone(session, organization_id), acting(session, organization_id, "import"):
        taken = session.execute(
            "UPDATE crm.lead_import SET status = 'undone', undone_at = now(), undone_by = %s"
            " WHERE id = %s AND status <> 'undone' RETURNING id",
            [by, import_id],
        ).fetchone()
        if not taken:
            raise WrongUse(f"The import {str(import_id)[:8]} is undone already, or there is none of this id.")
        undoing = _Undoing(session, given)
        deleted = undoing.delete_made()
        put_back, partly = undoing.put_back_changed()
    return Undone(import_id, deleted, put_back, partly, dict(undoing.left))


class _Undoing:
    """An import that is being undone: by the reason, how many leads were left so far, or something of them."""

    def __init__(self, session: "Session", given: dict[str, Any]) -> None:
        self.session, self.given = session, given
        self.left: Counter[str] = Counter()
        self.allowed = store.allowed_statuses(session)

    def delete_made(self) -> int:
        """Delete the leads that the import made, but for those that must stay; return how many."""
        found = self._run(query("lead_import_made")).fetchall()
        deleted = [row["id"] for row in found if row["stays"] is None and not row["fed"]]
        lent_by = lent.lent(self.session, self.given, deleted)
        self._run(query("lead_import_lent_since"), leads=list(lent_by))
        took_back = {row["id"] for row in found if row["took_back"]}
        if refused := took_back.intersection(deleted).difference(lent_by):
            self.left[REFUSAL] += len(refused)
        self._run(
            "UPDATE crm.leads SET deleted_at = coalesce(deleted_at, now()),"
            " source_metadata = source_metadata - '{feed_deleted,merged_into}'::text[]"
            " WHERE organization_id = %(organization_id)s AND id = ANY (%(leads)s::uuid[])",
            leads=deleted,
        )
        if handed := [row["id"] for row in found if row["stays"] is None and row["fed"]]:
            self._run(query("lead_import_handed_over"), leads=handed)
            self._note("partly", handed)
            self.left[HANDED_OVER] += len(handed)
        partly = self._take_off(lent_by)
        self._note("deleted", deleted)
        self._note("partly", partly)
        stay = {row["id"]: row["stays"] for row in found if row["stays"]}
        self._note("left", list(stay))
        self.left.update(stay.values())
        return len(deleted)

    def put_back_changed(self) -> tuple[int, int]:
        """Put back what the import changed; return of how many leads everything, and of how many a part."""
        rows = self._run(query("lead_import_changed")).fetchall()
        by_lead = [(lead, list(several)) for lead, several in groupby(rows, key=lambda row: row["lead_id"])]
        done: dict[str, str] = {}
        for some in _some(by_lead):
            leads = self._locked([lead for lead, _ in some], with_parts=True)
            taken = self._taken([row["changes"] for _, several in some for row in several])
            changed = []
            for lead, several in some:
                values = leads.get(lead)
                if values is None:
                    done[lead] = "left"
                    self.left["it was deleted since"] += 1
                    continue
                before = copy.deepcopy(values)
                kept = [name for row in several for name in put_back(values, row["changes"], self.allowed, taken)]
                if values != before:
                    changed.append(values)
                done[lead] = "put_back" if not kept else "partly" if values != before else "left"
                self.left.update(map(CHANGED.format, dict.fromkeys(kept)))
            # Before they change: what they lent is what they had.
            lent_by = lent.lent(self.session, self.given, [id_ for id_, values in leads.items() if values["is_part"]])
            store.update_leads(self.session, self.given["organization_id"], changed)
            of_import = {lead: lent_by[lead].of([row["changes"] for row in several]) for lead, several in some
                         if lead in lent_by}  # fmt: skip
            done |= dict.fromkeys(self._take_off(of_import), "partly")
        for what in ("put_back", "partly", "left"):
            self._note(what, [lead for lead, one in done.items() if one == what])
        return sum(one == "put_back" for one in done.values()), sum(one == "partly" for one in done.values())

    def _take_off(self, lent_by: dict[str, lent.Lent]) -> list[str]:
        """Take off leads what was lent to them; return the leads that lent it, of which something was left there."""
        partly = []
        for some in _some(list(lent_by.items())):
            others = self._locked([mine.other_id for _, mine in some])
            before = copy.deepcopy(others)
            taken = self._taken([mine.changes for _, mine in some])
            for lead, mine in some:
                if mine.other_id not in others:
                    continue
                kept = put_back(others[mine.other_id], mine.changes, self.allowed, taken)
                why = [*map(CHANGED.format, dict.fromkeys(kept)), *map(ALIKE.format, mine.alike)]
                partly += [lead] if why else []
                self.left.update(why)
            changed = [values for id_, values in others.items() if values != before[id_]]
            store.update_leads(self.session, self.given["organization_id"], changed)
        return partly

    def _note(self, undone: str, leads: Sequence[str]) -> None:
        self._run(
            "UPDATE crm.lead_import_row SET undone = %(undone)s WHERE organization_id = %(organization_id)s"
            " AND import_id = %(import_id)s AND lead_id = ANY (%(leads)s::uuid[])"
            " AND outcome IN ('created', 'updated')",
            undone=undone, leads=list(leads),
        )  # fmt: skip

    def _locked(self, leads: Sequence[str], *, with_parts: bool = False) -> dict[str, dict[str, Any]]:
        """Lock live leads, and if asked for those that became part of another one."""
        found = self._run(
            "SELECT id::text, first_name, last_name, email, phone, status, source, source_metadata, tags, timezone,"
            " division, postal_code, owner_id::text, value_usd, consent, deleted_at IS NOT NULL AS is_part"
            " FROM crm.leads WHERE organization_id = %(organization_id)s AND id = ANY (%(leads)s::uuid[])"
            " AND (deleted_at IS NULL"
            " OR %(with_parts)s AND erased_at IS NULL AND source_metadata ->> 'feed_deleted' = 'merged')"
            " ORDER BY id FOR UPDATE",
            leads=list(leads), with_parts=with_parts,
        )  # fmt: skip
        return {row["id"]: dict(row) for row in found}

    def _taken(self, changes: Sequence[dict[str, Any]]) -> frozenset[str]:
        """Return the numbers, of those to be put back, that are a live lead's meanwhile."""
        wanted = [one["phone"][0] for one in changes if "phone" in one and one["phone"][0]]
        found = self._run(
            "SELECT phone FROM crm.leads WHERE organization_id = %(organization_id)s AND phone = ANY (%(phones)s)"
            " AND deleted_at IS NULL",
            phones=wanted,
        )
        return frozenset(row["phone"] for row in found)

    def _run(self, statement: str, **more: Any) -> "Cursor[dict[str, Any]]":
        return self.session.execute(statement, self.given | more)


def _some(leads: Sequence[Any]) -> Iterator[Sequence[Any]]:
    for at in range(0, len(leads), AT_ONCE):
        yield leads[at : at + AT_ONCE]


def put_back(
    values: dict[str, Any], changes: dict[str, Any], allowed: dict[str, Sequence[str]], taken: frozenset[str]
) -> list[str]:
    """Take one row's changes out of a lead; return the fields that keep their value."""
    kept: list[str] = []
    for name, change in changes.items():
        if name in {"tags", "consent"}:
            off = [one for one in change["added"] if not (isinstance(one, dict) and "revoked_at" in one)]
            values[name] = [one for one in values[name] if one not in off]
            if len(off) < len(change["added"]):
                kept.append(name)
        elif name == "source_metadata":
            metadata = values[name] = dict(values[name])
            for key, (before, after) in change.items():
                if metadata.get(key) != after:
                    kept.append(key)
                elif before is None:
                    metadata.pop(key, None)
                else:
                    metadata[key] = before
        else:
            before, after = change
            now = values[name]
            changed = (None if now is None else str(now)) != after
            forbidden = (name == "status" and before not in allowed[now]) or (name == "phone" and before in taken)
            if changed or forbidden:
                kept.append(name)
            else:
                values[name] = before
    return kept

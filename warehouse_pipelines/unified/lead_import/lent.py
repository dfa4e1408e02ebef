"""What a lead that became part of another one lent to that: ``lent``.

The feed makes one lead of the two that a person has, and copies what the one that stays lacks. The log of that lead
says what changed then; what it had before is its own, whether it is the same or not.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from warehouse_pipelines.queries import query

if TYPE_CHECKING:
    from warehouse_pipelines.warehouse import Session

LISTS = ("tags", "consent")
ALONE = (
    "first_name", "last_name", "email", "phone", "source", "timezone", "division", "postal_code", "owner_id",
    "value_usd",
)  # fmt: skip
COMPARED_FIELDS = ("timezone", "division", "owner_id", "value_usd", *LISTS)
"""Fields of which it is said when the other lead has the same, and the log does not say from where."""


@dataclass(frozen=True)
class Lent:
    """What the lead ``other_id`` has from another one: ``changes`` as ``crm.lead_import_row`` has them."""

    other_id: str
    changes: dict[str, Any]
    alike: tuple[str, ...]
    """Fields in which both have the same, although the log names no change."""

    def of(self, several: Sequence[dict[str, Any]]) -> "Lent":
        """Return what was lent of these changes alone."""
        found: dict[str, Any] = {}
        for name, mine in self.changes.items():
            changes = [one[name] for one in several if name in one]
            if name in LISTS:
                said = [one for change in changes for one in change["added"]]
                found[name] = {"added": [one for one in mine["added"] if one in said]}
            elif name == "source_metadata":
                said = [part for change in changes for part in change.items()]
                found[name] = {key: of for key, of in mine.items() if any((key, of[1]) == (k, v[1]) for k, v in said)}
            elif any(change[1] == mine[1] for change in changes):
                found[name] = mine
        return Lent(self.other_id, found, tuple(name for name in self.alike if any(name in one for one in several)))


def lent(session: "Session", given: dict[str, Any], leads: Sequence[str]) -> dict[str, Lent]:
    """Return, by lead, what it lent to the live one that it became part of, and that is not a source's."""
    wanted = given | {"leads": list(leads), "fields": [*ALONE, *LISTS]}
    rows = session.execute(query("lead_import_lent"), wanted).fetchall() if leads else []
    return {row["lead_id"]: _lent(row) for row in rows}


def _lent(row: dict[str, Any]) -> Lent:
    has, other, proposed = row["has"], row["other_has"], row["proposed"]
    changes: dict[str, Any] = {}
    for name in ALONE:
        since = [change for change in row["changes"] if change[0] == name]
        if not since or has[name] is None or _same(proposed.get(name), has[name]):
            continue
        _, before, after, by_user = since[-1]
        if after == has[name] and not by_user:
            changes[name] = [before, after]
    for name in LISTS:
        mine = [one for one in _list(has[name]) if one not in _list(proposed.get(name))]
        added = [
            one
            for field, before, after, by_user in row["changes"]
            if field == name and not by_user
            for one in _list(after)
            if one in mine and one not in _list(before)
        ]
        if added:
            changes[name] = {"added": added}
    if row["metadata"]:
        changes["source_metadata"] = {key: [None, value] for key, value in row["metadata"].items()}
    alike = [
        name
        for name in COMPARED_FIELDS
        if name not in changes
        and (
            any(one in _list(other[name]) for one in _list(has[name]))
            if name in LISTS
            else has[name] is not None and has[name] == other[name] and not _same(proposed.get(name), has[name])
        )
    ]
    return Lent(row["other_id"], changes, tuple(alike))


def _list(text: str | None) -> list[Any]:
    found = json.loads(text) if text and text != "[erased]" else []
    return found if isinstance(found, list) else []


def _same(a: str | None, b: str) -> bool:
    """Whether two texts of a value are the same; an amount may have other zeros at its end."""
    if a is None or a == b:
        return a == b
    try:
        return float(a) == float(b)
    except ValueError:
        return False

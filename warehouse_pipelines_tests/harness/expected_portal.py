"""What must be in a portal after a plan was applied, and after it was undone.

It follows from the state before, the rows, and what people did. Of the product it believes only which records it
refused or left alone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

State = dict[str, dict[str, Any]]
"""Living records by id, with the fields that have a value."""
Edits = Mapping[tuple[str, str], Any]
"""What people wrote, by record and field."""

PEOPLES = "peoples_note"
"""A property that is none of the target's."""
BAD = "breaks a rule"
"""A value that the vendor refuses."""
OURS = ("zipcode", "city", "genius_phone", "genius_served")
FIELDS = (*OURS, "county", "state", "genius_score")


class WrongState(AssertionError):
    """The portal does not have what it must have."""


def require(holds: bool, *what: Any) -> None:
    """Raise ``WrongState`` with ``what`` unless it holds."""
    if not holds:
        raise WrongState(" ".join(map(str, what)))


@dataclass(frozen=True)
class Applied:
    """A portal before and after a plan was applied.

    ``edited`` is what people wrote while the plan was made or applied, ``touched`` are the records that they edited
    while it was applied, ``divisions`` are the ids of divisions by name.
    """

    before: State
    after: State
    edited: Edits
    touched: set[str]
    divisions: Mapping[str, str]

    def check(
        self, given: Sequence[Mapping[str, Any]], items: Mapping[str, Mapping[str, Any]], *, several: bool
    ) -> None:
        """Compare the rows with the records. ``several`` plans may each have done a part of a record."""
        by_key: dict[str, list[str]] = {}
        for one, values in self.after.items():
            if key := values.get("genius_zip"):
                by_key.setdefault(key, []).append(one)
        require(all(len(ids) == 1 for ids in by_key.values()), "made twice:", by_key)
        operations = [one["warehouse_operation_id"] for one in self.after.values() if "warehouse_operation_id" in one]
        require(len(operations) == len(set(operations)), "one operation made two records")
        keys = {row["key"] for row in given}
        require(items.keys() <= keys, "items without a row:", items.keys() - keys)
        for row in given:
            item = items.get(row["key"])
            status = item["status"] if item else "unchanged"
            require(status not in ("planned", "sending"), "not sent:", item)
            if status in ("written", "unchanged"):
                require(row["key"] in by_key, "left out:", row)
                self._check_row(row, by_key[row["key"]][0])
            elif item and status != "partial":
                self._check_left(row, item, several=several)
        mine = {ids[0] for key, ids in by_key.items() if key in keys}
        for one in self.before.keys() - mine - self.touched:
            require(
                self.before[one] == self.after.get(one), "not in the plan, and changed:", self.before[one],
                self.after.get(one),
            )  # fmt: skip
        made = self.after.keys() - self.before.keys()
        require(made <= mine | self.touched, "made without a row:", made)

    def _check_left(self, row: Mapping[str, Any], item: Mapping[str, Any], *, several: bool) -> None:
        """A record that moved is as it was; one is refused for a reason."""
        one, said = item["object_id"], item["reason"] or ""
        if item["status"] == "refused":
            require(row["city"] == BAD or "records" in said or "vendor" in said, "refused without a reason:", item)
        elif one in self.before and one not in self.touched and not several:
            require(self.before[one] == self.after.get(one), "left alone, and changed:", row, self.before[one])

    def _check_row(self, row: Mapping[str, Any], one: str) -> None:
        """A record has what its row says in the fields that are ours, and what it had in the others."""
        had, has = self.before.get(one), self.after[one]
        theirs = {name: value for (edited, name), value in self.edited.items() if edited == one}
        for name in FIELDS:
            value, found, was = (row.get(name) or "").strip() or None, has.get(name), (had or {}).get(name)
            if name in theirs and found == theirs[name]:
                continue
            if had is None or name == "genius_score" or (value is not None and name in OURS):
                fits = plain(name, found) == plain(name, value)
            else:
                fits = found == was or (name == "county" and plain(name, found) == value)
            require(fits, "of", row, name, "is", found, "and was", was)
        note = theirs.get(PEOPLES, (had or {}).get(PEOPLES))
        require(has.get(PEOPLES) == note, "somebody's note was changed:", row)
        if row.get("branch") and "divisions" not in theirs:
            linked = (has.get("divisions") or "").split(";")
            require(self.divisions[row["branch"]] in linked, "not associated:", row, "with", linked)


def check_undone(before: State, after: State, now: State, found: State, touched: set[str]) -> None:
    """Each field is as before, unless somebody changed it since the plan was applied; so is each record.

    ``now`` is the portal when the undo began, ``found`` after it. Of records that were made and are ``touched``, people
    wrote a field meanwhile.
    """
    wanted: State = {}
    for one, values in now.items():
        if one in before and one in after:
            names = before[one].keys() | after[one].keys() | values.keys()
            merged = {
                name: before[one].get(name) if values.get(name) == after[one].get(name) else values.get(name)
                for name in names
            }
            wanted[one] = {name: value for name, value in merged.items() if value}
        elif one not in after or values != after[one] or one in touched:
            wanted[one] = values
    for one in wanted.keys() | found.keys():
        require(
            wanted.get(one) == found.get(one), "after the undo record", one, "is", found.get(one), "and must be",
            wanted.get(one), "; before", before.get(one), "; applied", after.get(one), "; then", now.get(one),
        )  # fmt: skip


def plain(name: str, value: str | None) -> Any:
    """Return what a value says, whatever its form."""
    if value is None:
        return None
    match name:
        case "genius_phone":
            return "".join(character for character in value if character.isdigit())[-10:]
        case "genius_score":
            return float(value)
        case _:
            return value.strip()

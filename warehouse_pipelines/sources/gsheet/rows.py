"""The rows of one sheet as records: names from the header, types from the declaration, an ``id`` from the contents.

**Header**: columns are found by name wherever they stand, ``First Name`` being ``first_name``. Without one of
``Entity.expected`` nothing is loaded and the old rows stay. Undeclared headers are reported in the history row and
their cells kept in ``raw_data``, as are those of a column without a header (named by its letter) and of a second one
of the same name (``notes_2``). Declared columns that are absent are null, and reported.

**Identity**: a row has no id, and its number changes when somebody inserts another. ``id`` is a hash of the tab, of
the cells that say who or what a row is about (``IDENTITY``), and of how many rows above say the same. So a row that
moves keeps its ``id`` and gets another ``row_number``; an edit of a note or an amount is an update; an edit of the
identity is a delete and a new row. Rows of equal identity may change places among themselves, never multiply.

**Unfilled rows** are those in which nobody entered anything: no cell of the identity, no text, no ticked box, no date
or number but what a formula makes. Empty boxes (FALSE) and formulas that were dragged down make them, and they are no
records; ``unfilled_rows`` of the history row counts them. Rows that earlier versions stored of them are withdrawn. What
an ``ARRAYFORMULA`` spills into a row is shown as if it was typed there, so such a row stays unless it is all zeros.

**Merged cells** have their value in the first cell alone. The rows below get it too, except for numbers: an amount
across three rows is one amount. Those are null, and the columns are named in the history row (``merged_numbers``).

Left out: ``sheet_last_modified`` of the catalogue, which would touch every row with every edit (the history row has
it).
"""

import itertools
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import msgspec

from warehouse_pipelines.errors import AnswerChanged
from warehouse_pipelines.model.entity import Entity
from warehouse_pipelines.sources.gsheet.answers import Merge
from warehouse_pipelines.sources.gsheet.area import Area, column_number
from warehouse_pipelines.sources.gsheet.cells import Cells
from warehouse_pipelines.sources.gsheet.error_cells import ERROR

IDENTITY = {
    "marketing_leads": "first_name last_name email phone",
    "marketing_spends": "date channel campaign",
}

POSTCODES = frozenset({"form_submit_zipcode"})

ZERO_DATE = "1899-12-30"
"""What earlier versions made of a date that is zero."""

_DATE = re.compile(r"\d{4}-\d\d-\d\d")


@dataclass
class Row:
    """A record by the names of its cells; ``errors`` names the cells that show an error."""

    id: int
    known: Mapping[str, Any]
    cells: dict[str, Any]
    errors: Sequence[str]

    def encoded(self) -> bytes:
        """Return the record in JSON, with the hash of all cells."""
        digest = blake2b(msgspec.json.encode(sorted(self.cells.items())), digest_size=16).hexdigest()
        return msgspec.json.encode({"_id": self.id, **self.known, "_content_hash": digest, **self.cells})


class GSheetReader:
    """Make records of the rows below a header.

    ``left_out`` counts the rows that are not loaded because of an error, ``unfilled`` those that nobody filled in.
    """

    def __init__(self, entity: Entity, spreadsheet_id: str, area: Area, cells: Cells, titles: Sequence[Any]) -> None:
        self.area, self.cells = area, cells
        self.known = {"_spreadsheet_id": spreadsheet_id, "_sheet_name": area.title}
        self.names: list[str] = []
        blank, twice = [], []
        self.titled = {column_name(title) for title in titles}
        for place, title in enumerate(titles):
            name = column_name(title)
            if name in self.names:
                twice.append(name)
                name = self._free(name)
            elif not name:
                name = self._untitled(place)
                blank.append(name)
            self.names.append(name)
        self.kinds = {path: column.kind for column in entity.columns.values() for path in column.paths}
        here = set(self.names)
        absent = [
            name
            for name, column in entity.columns.items()
            if not here & set(column.paths) and not column.path.startswith("_")
        ]
        self.found = bool(here & self.kinds.keys())
        self.missing = [name for name in entity.expected.split() if name in absent]
        self.noticed: dict[str, Any] = {
            "header": [str(title) for title in titles],
            "unknown_headers": [name for name in self.names if name not in self.kinds and name not in blank],
            "blank_headers": blank,
            "duplicate_headers": twice,
            "absent_columns": absent,
        }
        identity = IDENTITY.get(entity.name, "").split() or list(entity.columns)
        self.identity = [next((path for path in entity.columns[n].paths if path in here), n) for n in identity]
        self.about = [(name, self.names.index(name)) for name in self.identity if name in here]
        self.seen: Counter[str] = Counter()
        self.left_out = self.unfilled = 0
        left = column_number(area.left) - 1
        self.merges = [
            (merge, merge.left - left)
            for merge in area.merges
            if merge.bottom - merge.top > 1 and merge.top >= area.top and 0 <= merge.left - left < len(self.names)
        ]
        self.merged: dict[Merge, Any] = {}

    def name(self, place: int) -> str:
        """Return the name of a column, also of one beyond the header."""
        return self.names[place] if place < len(self.names) else self._untitled(place)

    def _untitled(self, place: int) -> str:
        """Return the name of a column that has no header."""
        name = f"column_{self.area.letters(place).lower()}"
        return self._free(name) if name in self.titled else name

    def _free(self, name: str) -> str:
        """Append the first free number to a name: of two cells of one name, one would be lost."""
        numbered = (f"{name}_{number}" for number in itertools.count(2))
        return next(one for one in numbered if one not in self.titled and one not in self.names)

    def require(self, entity: Entity) -> None:
        """Raise when an expected column is not named."""
        if self.missing:
            wanted = "; ".join(f"{name} ({' or '.join(entity.columns[name].paths)})" for name in self.missing)
            # A first row without any of the names is data, which must not be logged.
            has = ", ".join(self.names) if self.found else "none of the declared names"
            raise AnswerChanged(
                f"Google Sheets: the header of {self.area.title!r} lacks {wanted}; it has {has}. Was a column renamed? "
                "Name it as before, or declare the new name; nothing was loaded, and the rows that are there stay."
            )

    def fill_merged(self, first: int, rows: Sequence[list[Any]]) -> None:
        """Give the rows of merged cells the value of the first, if they have cells of their own."""
        last = first + len(rows) - 1
        blank = {number for number, row in enumerate(rows, start=first) if _is_blank(row)} if self.merges else set()
        for merge, place in self.merges:
            if merge.top + 1 > last or merge.bottom < first:
                continue
            if merge.top + 1 >= first:
                top = rows[merge.top + 1 - first]
                self.merged[merge] = top[place] if place < len(top) else ""
            value = self.merged.get(merge, "")
            for number in range(max(first, merge.top + 2), min(last, merge.bottom) + 1):
                if value == "" or number in blank:
                    continue
                if self.kinds.get(self.names[place]) in ("integer", "numeric"):
                    columns = self.noticed.setdefault("merged_numbers", [])
                    if self.names[place] not in columns:
                        columns.append(self.names[place])
                    continue
                row = rows[number - first]
                row.extend([""] * (place + 1 - len(row)))
                row[place] = value

    def empty_unfilled(
        self, first: int, rows: Sequence[list[Any]], formulas: Callable[[int, int], Sequence[Sequence[Any]]]
    ) -> None:
        """Empty the rows in which nobody entered anything.

        ``formulas`` returns the rows from one number to another with the text of each formula; it is asked about those
        that have no more than numbers.
        """
        found = {number: row for number, row in enumerate(rows, start=first) if self._may_be_unfilled(row)}
        numbers = {n: [at for at, cell in enumerate(row) if _is_number(cell)] for n, row in found.items()}
        if asked := [number for number, places in numbers.items() if places]:
            shown = dict(enumerate(formulas(asked[0], asked[-1]), start=asked[0]))
            for number in asked:
                texts = [shown[number][place : place + 1] for place in numbers[number] if number in shown]
                if not texts or not all(text and str(text[0]).startswith("=") for text in texts):
                    del found[number]
        for row in found.values():
            row.clear()
        self.unfilled += len(found)

    def _may_be_unfilled(self, row: Sequence[Any]) -> bool:
        """Return whether a row has nothing of the identity, and no more than numbers, empty boxes and errors."""
        about = [(name, row[place]) for name, place in self.about if place < len(row)]
        who = "".join(str(self._read(name, cell) or "") for name, cell in about)
        if who.strip() or _is_blank([cell for cell in row if cell is not ERROR]):
            return False
        return not any(cell is True or (isinstance(cell, str) and cell.strip()) for cell in row)

    def stored_unfilled(self, records: Callable[[Sequence[str]], Mapping[str, bytes]]) -> Iterator[str]:
        """Yield the ids of living rows that nobody filled in, of which ``records`` returns the records.

        Rows of one identity are numbered without a gap, so the first thousand without a living one end it.
        """
        dated = [ZERO_DATE if self._is_date(name) else "" for name in self.identity]
        for who in {"\x1f".join(dated), "\x1f".join("" for _ in dated)}:
            for start in itertools.count(self.seen[who], 1_000):
                ids = [str(self._id(who, occurrence)) for occurrence in range(start, start + 1_000)]
                stored = records(ids)
                yield from (of for of, record in stored.items() if self._was_unfilled(record))
                if not stored:
                    break

    def _was_unfilled(self, record: bytes) -> bool:
        """Return whether a stored record has nothing but numbers, dates and empty boxes."""
        members: dict[str, Any] = msgspec.json.decode(record, type=dict)
        return not any(
            cell is True or (isinstance(cell, str) and not (self._is_date(name) and _DATE.match(cell)))
            for name, cell in members.items()
            if not name.startswith("_")
        )

    def _is_date(self, name: str) -> bool:
        return self.kinds.get(name) in ("date", "timestamptz")

    def records(self, first: int, rows: Sequence[Sequence[Any]]) -> list[Row]:
        """Return the records of consecutive rows."""
        return [record for number, row in enumerate(rows, start=first) if (record := self._record(number, row))]

    def _record(self, number: int, row: Sequence[Any]) -> Row | None:
        """Return the record of a row; None for a blank one, and for one whose errors hide what it is about."""
        if _is_blank(row):
            return None
        names = [*self.names, *map(self._untitled, range(len(self.names), len(row)))]
        cells = {name: self._read(name, row[place] if place < len(row) else None) for place, name in enumerate(names)}
        errors = [name for name, cell in cells.items() if cell is ERROR]
        if errors and (set(errors) & set(self.identity) or _is_blank([cell for cell in row if cell is not ERROR])):
            self.left_out += 1
            return None
        who = "\x1f".join(str(cells.get(name) or "").strip().casefold() for name in self.identity)
        occurrence = self.seen[who]
        self.seen[who] += 1
        return Row(self._id(who, occurrence), {**self.known, "_row_number": number}, cells, errors)

    def _id(self, who: str, occurrence: int) -> int:
        return row_id(self.known["_spreadsheet_id"], self.area.sheet_id, who, occurrence)

    def _read(self, name: str, cell: Any) -> Any:
        if cell == "" or cell is None or cell is ERROR:
            return None if cell == "" else cell
        if name in POSTCODES:
            return self.cells.postcode(cell)
        return self.cells.read(self.kinds.get(name, "text"), cell)


def _is_blank(row: Sequence[Any]) -> bool:
    return all(cell is None or (isinstance(cell, str) and not cell.strip()) for cell in row)


def _is_number(cell: Any) -> bool:
    return isinstance(cell, int | float) and not isinstance(cell, bool) and cell != 0


def row_id(spreadsheet_id: str, sheet_id: int, who: str, occurrence: int) -> int:
    """Return the ``id`` of a row: 63 bits, which a million rows share with a chance of one in ten millions."""
    of = "\x1e".join((spreadsheet_id, str(sheet_id), who, str(occurrence)))
    return int.from_bytes(blake2b(of.encode(), digest_size=8).digest()) >> 1


def column_name(title: Any) -> str:
    """Return a header as columns are declared: ``" First Name"`` is ``first_name``."""
    return re.sub(r"\W+", "_", str(title).strip().casefold()).strip("_")

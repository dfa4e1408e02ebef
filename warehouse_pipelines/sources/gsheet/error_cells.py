"""Cells that show an error (``#REF!``, ``#N/A``, ``Loading...``), told from text that looks like one.

Among the values of a sheet an error is a text. ``Errors.mark`` asks for the ``effectiveValue`` of each text that may be
an error: an ``errorValue``, or a value that has changed since (the cell was loading), is an error; the same
``stringValue`` was typed by a person.

Unconfirmed: how an error is written among the values. Any text of up to 31 characters that begins with ``#`` or ends
with an ellipsis is asked about.
"""

import re
from collections.abc import Sequence
from typing import Any

from warehouse_pipelines.sources.gsheet.answers import GridData
from warehouse_pipelines.sources.gsheet.area import Area
from warehouse_pipelines.sources.gsheet.client import GSheetClient

RANGES = 50
"""Ranges of one request: more make its URL too long."""

SUSPECT = re.compile(r"#.{1,30}|.{0,30}(?:\.\.\.|…)", re.DOTALL)
"""Texts that may be an error. All begin with ``#`` except "Loading...", which is translated by locale."""


class ErrorCell:
    """Type of ``ERROR``, which replaces a cell that shows an error."""


ERROR = ErrorCell()


class Errors:
    """The error cells of one read: their ``count``, and the name of the ``first`` of each column, by its place."""

    def __init__(self, client: GSheetClient, area: Area) -> None:
        self.client, self.area = client, area
        self.count = 0
        self.first: dict[int, str] = {}

    def named(self, preferred: Sequence[int] = ()) -> str:
        """Return a clause that names one cell, of the ``preferred`` columns if given, and counts the others."""
        others = f" and {self.count - 1} more cells do" if self.count > 1 else ""
        return f"{self.first[min(preferred or self.first)]} shows an error{others}"

    def mark(self, first: int, rows: Sequence[list[Any]], raw: bytes) -> None:
        """Replace each error cell of ``rows`` by ``ERROR``; ``raw`` is the answer that they were decoded from."""
        if not any(mark in raw for mark in (b'"#', b'..."', "…".encode(), b"\\u2026")):
            return
        suspects: dict[int, list[int]] = {}
        for number, row in enumerate(rows):
            for place, cell in enumerate(row):
                if isinstance(cell, str) and SUSPECT.fullmatch(cell):
                    suspects.setdefault(place, []).append(number)
        columns = list(suspects.items())
        for start in range(0, len(columns), RANGES):
            part = columns[start : start + RANGES]
            asked = [self.area.column(place, first + at[0], first + at[-1]) for place, at in part]
            for (place, at), data in zip(part, self.client.effective_values(asked), strict=True):
                for number in at:
                    error = _error(data, number - at[0], rows[number][place])
                    if error is None:
                        continue
                    self.count += 1
                    self.first.setdefault(place, f"{self.area.name(first + number, place)} ({error})")
                    rows[number][place] = ERROR


def _error(data: GridData, number: int, text: str) -> str | None:
    """Return the kind of error that a cell shows; None if ``text`` was typed."""
    row = data.rows[number].cells if number < len(data.rows) else []
    value = row[0].value if row else None
    if value is not None and value.error is not None:
        return value.error.type
    return None if value is not None and value.text == text else "LOADING"

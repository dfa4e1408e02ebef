"""One sheet of a simulated spreadsheet, and how its cells are typed in and shown.

A sheet is a header and an order of rows; a row is computed from its number and what has been changed in it, so a sheet
of a million rows holds no cells. An error is a text among the values and an `errorValue` in the grid's data. With the
option `FORMULA` a formula is shown, else its value.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, NamedTuple

EPOCH = datetime(1899, 12, 30)  # noqa: DTZ001  (a serial date has no zone)
SPARE_ROWS = 20  # a grid is larger than what is used of it

ERRORS = {
    "ERROR": "#ERROR!", "NULL_VALUE": "#NULL!", "DIVIDE_BY_ZERO": "#DIV/0!", "VALUE": "#VALUE!", "REF": "#REF!",
    "NAME": "#NAME?", "NUM": "#NUM!", "N_A": "#N/A", "LOADING": "Loading...",
}  # fmt: skip


class CellError(NamedTuple):
    """A formula that has no value; an operation is given one as `{"error": "REF"}`."""

    type: str

    def __str__(self) -> str:
        return ERRORS[self.type]


class CellFormula(NamedTuple):
    """A formula and its value; an operation is given one as `{"formula": "=2*A2", "value": 0}`."""

    text: str
    value: Any


@dataclass
class Sheet:
    sheet_id: int
    title: str
    header: list[Any]
    formula: Callable[[int], dict[str, Any]]
    order: list[int] = field(default_factory=list)
    changes: dict[int, dict[str, Any]] = field(default_factory=dict)
    header_row: int = 1
    spare_rows: int = SPARE_ROWS
    merges: list[dict[str, int]] = field(default_factory=list)

    def cells(self, row: int) -> list[Any]:
        """The cells of a row of the sheet, 1 being the header; what is empty at the end is cut."""
        place = row - 1 - self.header_row
        if place == -1:
            found = list(self.header)
        elif 0 <= place < len(self.order):
            number = self.order[place]
            values = {**(self.formula(number) if number >= 0 else {}), **self.changes.get(number, {})}
            found = [values.get(str(name), "") for name in self.header]
            found += values.get("beyond", [])
        else:
            found = []
        while found and found[-1] in ("", None):
            found.pop()
        return found

    @property
    def rows(self) -> int:
        return self.used_rows + self.spare_rows

    @property
    def used_rows(self) -> int:
        return len(self.order) + self.header_row

    @property
    def columns(self) -> int:
        return max(26, len(self.header) + 2)


def typed(value: Any) -> Any:
    """A date or a time from its ISO text, which is how an operation is given one; a text from `{"text": ...}`."""
    if isinstance(value, dict):
        if "formula" in value:
            return CellFormula(value["formula"], typed(value["value"]))
        return CellError(value["error"]) if "error" in value else value["text"]
    if isinstance(value, str) and re.fullmatch(r"\d{4}-\d\d-\d\d", value):
        return date.fromisoformat(value)
    if isinstance(value, str) and re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d)?", value):
        return datetime.fromisoformat(value)
    return value


def grid_data(sheet: Sheet, top: int, bottom: int, left: int, right: int) -> dict[str, Any]:
    """The cells of a range with what they are; zeros are left out, and so is what is empty at the end."""
    rows: list[dict[str, Any]] = []
    for row in range(top, min(bottom, sheet.used_rows) + 1):
        values = [{} if cell in ("", None) else {"effectiveValue": _effective(cell)} for cell in
                  sheet.cells(row)[left - 1 : right]]  # fmt: skip
        rows.append({"values": values} if values else {})
    while rows and not rows[-1]:
        rows.pop()
    starts = {"startRow": top - 1, "startColumn": left - 1}
    return {**{name: at for name, at in starts.items() if at}, **({"rowData": rows} if rows else {})}


def _effective(value: Any) -> dict[str, Any]:
    if isinstance(value, CellFormula):
        return _effective(value.value)
    if isinstance(value, CellError):
        return {"errorValue": {"type": value.type, "message": "There is no value."}}
    if isinstance(value, bool):
        return {"boolValue": value}
    shown = shown_cell(value, plain=True, dates_as_text=False)
    return {"stringValue": shown} if isinstance(shown, str) else {"numberValue": shown}


def shown_cell(value: Any, *, plain: bool, dates_as_text: bool, formulas: bool = False) -> Any:
    if isinstance(value, CellFormula):
        return value.text if formulas else shown_cell(value.value, plain=plain, dates_as_text=dates_as_text)
    if isinstance(value, date):
        if dates_as_text:
            return value.isoformat() if plain else f"{value.month}/{value.day}/{value.year}"
        at = value if isinstance(value, datetime) else datetime.combine(value, datetime.min.time())
        serial = (at - EPOCH).total_seconds() / 86_400
        return int(serial) if serial.is_integer() else serial
    if value is None:
        return ""
    if isinstance(value, CellError):
        return str(value)
    if plain or isinstance(value, str):
        return value
    return {True: "TRUE", False: "FALSE"}[value] if isinstance(value, bool) else f"{value:,}"


def column_number(letters: str | None) -> int:
    number = 0
    for letter in letters or "":
        number = number * 26 + ord(letter) - 64
    return number


def column_letters(column: int) -> str:
    found = ""
    while column:
        column, rest = divmod(column - 1, 26)
        found = chr(65 + rest) + found
    return found

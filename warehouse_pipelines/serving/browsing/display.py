"""Values as people read them in a table, and as a spreadsheet may open them."""

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from warehouse_pipelines.serving.browsing.table import Column

LONGEST = 120
"""Characters of a value in a list of rows; the row's own page has all of it."""

MASKED_TEXTS = ("[masked]", '{"masked": true}')
FORMULA = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20", "\t", "\r", "\n")
"""What a spreadsheet takes for a formula, in the wide forms of East Asia too, or for the end of a cell before one."""


@dataclass(frozen=True, slots=True)
class Cell:
    """A value: its text, the class of its cell, and of a time its form for programs."""

    text: str
    kind: str
    at: str = ""


NOTHING = Cell("", "none")


def cell(column: Column, value: Any, zone: ZoneInfo, longest: int | None = LONGEST) -> Cell:
    """Return what a page shows of a value."""
    if value is None or value == "":
        return NOTHING
    if column.kind == "time":
        return _time(column, str(value), zone)
    if isinstance(value, bool):
        return Cell("yes" if value else "no", "text")
    text = str(value)
    if column.kind == "number":
        return Cell(text, "count")
    if column.type.endswith("[]"):
        text = text.strip("{}").replace(",", ", ").replace('"', "")
    if text in MASKED_TEXTS:
        return Cell("masked", "masked")
    if longest is not None and len(text) > longest:
        text = f"{text[:longest]}…"
    return Cell(text, "text")


def _time(column: Column, text: str, zone: ZoneInfo) -> Cell:
    try:
        if column.type == "date":
            return Cell(f"{date.fromisoformat(text):%-d %b %Y}", "time", text)
        at = datetime.fromisoformat(text)
    except ValueError:  # infinity, or a year that Python has not
        return Cell(text, "text")
    try:
        shown = at.astimezone(zone) if at.tzinfo else at
    except OverflowError:
        shown = at
    return Cell(f"{shown:%-d %b %Y, %H:%M}", "time", text)


def lines(rows: Iterable[Sequence[tuple[Column, Any]]]) -> str:
    """Return rows as lines of a CSV file, in which no text is a formula."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerows([harmless(column, value) for column, value in row] for row in rows)
    return text.getvalue()


def harmless(column: Column, value: Any) -> str:
    """Return a value as a cell of a CSV file: documents and lists as JSON, times and numbers as they are.

    A text that a spreadsheet would calculate has an apostrophe before it.
    """
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    text = str(value) if not isinstance(value, dict | list) else msgspec.json.encode(value).decode()
    if column.kind != "number" and text.lstrip(" ").startswith(FORMULA):
        return f"'{text}"
    return text

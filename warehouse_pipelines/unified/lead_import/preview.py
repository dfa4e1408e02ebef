"""What an import would do, before it does it: which header goes where, what is left out, the first rows, masked."""

import datetime as dt
import re
from collections import Counter
from dataclasses import dataclass, field

from warehouse_pipelines.unified.lead_import.cells import cleaned, postal_code
from warehouse_pipelines.unified.lead_import.columns import FIELDS, Column, ColumnMap
from warehouse_pipelines.unified.lead_import.table_file import LeadFile, Row, Unreadable
from warehouse_pipelines.unified.lead_import.values import read

LOOKED_AT = 1000
SHOWN = 5


@dataclass
class Preview:
    """``examples`` and ``filled`` are by the place of a column; ``rows`` are row numbers with their masked cells."""

    rows_looked_at: int = 0
    filled: Counter[int] = field(default_factory=Counter)
    examples: dict[int, str] = field(default_factory=dict)
    rows: list[tuple[int, list[str], str]] = field(default_factory=list)
    refused: Counter[str] = field(default_factory=Counter)
    remarks: Counter[str] = field(default_factory=Counter)
    more: bool = False
    unread: str = ""
    """Why the rows below those that were looked at cannot be read, where that is so."""


def preview(file: LeadFile, mapping: ColumnMap) -> Preview:
    """Look at the first thousand rows below the headers. Raises ``WrongUse`` for a file that changed meanwhile."""
    found = Preview()
    now = dt.datetime.now(dt.UTC)
    try:
        for row in file.rows():
            if row.number <= mapping.header_row or row.blank:
                continue
            if found.rows_looked_at == LOOKED_AT:
                found.more = True
                break
            _look(found, row, mapping, now)
    except Unreadable as error:
        found.unread = str(error)
    return found


def _look(found: Preview, row: Row, mapping: ColumnMap, now: dt.datetime) -> None:
    found.rows_looked_at += 1
    for column in mapping.columns:
        if cell := _cell(row, column):
            found.filled[column.place] += 1
            found.examples.setdefault(column.place, shown(column, cell))
    lead = read(row, mapping, now)
    if lead.refused:
        found.refused[lead.refused] += 1
    found.remarks.update(lead.remarks)
    if len(found.rows) < SHOWN:
        said = f"refused: {lead.refused}" if lead.refused else "; ".join(lead.remarks)
        cells = [shown(column, _cell(row, column)) for column in mapping.columns if column.field]
        found.rows.append((row.number, cells, said))


def _cell(row: Row, column: Column) -> str:
    return cleaned(row.cells[column.place - 1]) if column.place <= len(row.cells) else ""


def shown(column: Column, cell: str) -> str:
    """Return a cell as it may stand on a screen: of what is left out nothing, of what is personal little."""
    if not column.field:
        return "" if not cell else "…"
    if FIELDS[column.field].shown:
        return " ".join(cell.split())[:30]
    if column.field == "postal_code":
        return f"{(postal_code(cell) or '')[:3]}**" if cell else ""
    return masked(cell) if cell else ""


def masked(text: str) -> str:
    """Return a text that may be personal with enough left to see whether the column is the right one."""
    text = " ".join(text.split())
    if re.fullmatch(r"[\d\s()+./-]{5,}", text):
        return re.sub(r"\d(?=(?:\D*\d){2})", "*", text)[:30]
    if "@" in text:
        name, _, domain = text.partition("@")
        return f"{name[:1]}***@***.{domain.rpartition('.')[2][:6]}"
    words = [f"{word[0]}{'*' * min(len(word) - 1, 5)}" for word in text.split(" ")[:4] if word]
    return " ".join(words)

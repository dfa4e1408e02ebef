"""The forms of the answers of Sheets and Drive, with the members that are asked for."""

from typing import Any

import msgspec


class File(msgspec.Struct):
    version: str
    modified_time: str = msgspec.field(name="modifiedTime", default="")


class Grid(msgspec.Struct):
    rows: int = msgspec.field(name="rowCount")
    columns: int = msgspec.field(name="columnCount")


class Tab(msgspec.Struct):
    sheet_id: int = msgspec.field(name="sheetId")
    title: str
    grid: Grid | None = msgspec.field(name="gridProperties", default=None)


class Merge(msgspec.Struct, frozen=True):
    """Merged cells: rows and columns from zero, the ends excluded; a zero may be left out."""

    top: int = msgspec.field(name="startRowIndex", default=0)
    bottom: int = msgspec.field(name="endRowIndex", default=0)
    left: int = msgspec.field(name="startColumnIndex", default=0)


class Listed(msgspec.Struct):
    properties: Tab
    merges: list[Merge] = []


class Document(msgspec.Struct):
    time_zone: str = msgspec.field(name="timeZone")
    locale: str = ""
    title: str = ""


class Spreadsheet(msgspec.Struct):
    properties: Document
    sheets: list[Listed]


class Values(msgspec.Struct):
    """Rows are cut at their last cell, and the list at its last row; without any there is no list at all."""

    range: str
    values: list[list[Any]] = []


class CellError(msgspec.Struct):
    type: str = "ERROR"


class Effective(msgspec.Struct):
    error: CellError | None = msgspec.field(name="errorValue", default=None)
    text: str | None = msgspec.field(name="stringValue", default=None)


class GridCell(msgspec.Struct):
    value: Effective | None = msgspec.field(name="effectiveValue", default=None)


class GridRow(msgspec.Struct):
    cells: list[GridCell] = msgspec.field(name="values", default=[])


class GridData(msgspec.Struct):
    rows: list[GridRow] = msgspec.field(name="rowData", default=[])


class GridSheet(msgspec.Struct):
    data: list[GridData] = []


class GridAnswer(msgspec.Struct):
    sheets: list[GridSheet] = []

"""Google Sheets: what the marketing department types, its leads and its spending.

Sheets has no cursor, no pages and no record ids. So: Drive is asked for the file's ``version`` first; equal to that
of the last good run, nothing else is read. But values that a formula brings from elsewhere (IMPORTRANGE, NOW,
GOOGLEFINANCE) change without an edit and so without a new version; therefore a sheet is read at least once a day,
whatever its version says. A full read asks for the tab in stretches of rows that ``--batch-size`` sets. Its rows
replace the last copy in one transaction; rows that are no longer in it are tombstoned.

**One moment**: Drive is asked for the version again after the read. Was the file edited meanwhile, it is read anew;
equal to the last read, it stands, since the edit was elsewhere in the file. The third read asks for all rows in one
answer, which is of one moment by itself, so a sheet that people always work on is loaded too.

**The grid** is larger than what is used of it. Where a stretch comes back empty the next is twice as long, so a tail
of a million empty rows costs ten requests.

**The header** is the contract: columns are found by name wherever they stand, ``First Name`` being ``first_name``.
Without one of ``Entity.expected`` nothing is loaded and the old rows stay. Headers that nobody declared are reported
in the history row and their cells kept in ``raw_data``, as are those of a column without a header (named by its
letter) and of a second one of the same name (``notes_2``). Declared columns that are not there are null, and
reported.

**Types** come from the declaration alone, never from a row: cells are asked for unformatted, and what a number or a
text means in a column that is a date, a time or a number is read by the spreadsheet's locale and time zone
(``_sheet_cells``). A zone that is unknown ends the run: a wrong one would shift every time without a trace, and one
setting repairs it. A postcode that was typed as a number has lost its zeros before we see it.

**Merged cells** have their value in the first alone. It is taken for the rows below it too, except for numbers: an
amount across three rows is one amount. Those are null, and the columns are named in the history row
(``merged_numbers``).

**Error cells** (``#REF!``, ``#N/A``, ``Loading...``) are no data. Among the values an error is a text like any other,
so a cell that looks like one is asked for again with its ``effectiveValue``: an ``errorValue``, or another value than
before (it was loading), is an error; the same ``stringValue`` is what somebody typed. What the cell said when its row
was last read stays. The run in which a column begins to show errors ends ``partial`` with the cell's name. While a
column has shown them for less than a day (``PERMANENT``) nothing is tombstoned, since a formula may fill more cells
than its own, and every run reads the sheet, since an error may go away without an edit. After a day they are permanent,
as ``#N/A`` of a lookup is: deletions are noticed again, and the history row goes on counting them (``error_cells``).

A row whose identity has an error, or that has nothing but errors, is not loaded, and with an error in the header no row
is. Nobody can tell which stored row such a one is, so nothing is tombstoned while there are any, and each read ends
``partial``. ``--full`` takes every error for a new one.

**Identity**: a row has none of its own, and its number changes when somebody inserts another. ``id`` is a hash of the
tab, of the cells that say who or what a row is about (``IDENTITY``), and of how many rows above say the same. So a
row that moves stays the row it was, with another ``row_number``; an edit of a note or an amount is an update; an edit
of the identity is a deletion and a new row. Rows of equal identity may change places among themselves, never
multiply. ``content_hash`` is of all cells. ``raw_data`` is ours to name, because a row has no names: the header's, in
snake case.

Left out: ``sheet_last_modified`` of the catalogue, which would touch every row with every edit (it stands in the
history row); tabs other than the configured one; formats. People type what they like, so what does not fit its column
becomes null with a warning, is counted, and stays in ``raw_data``.

Unconfirmed: the words of the errors for a range past the grid and for an uploaded .xlsx, which both end the run by
their status; how an error is written among the values, so any short text that begins with ``#`` or ends with an
ellipsis is asked about. Settings: ``Settings``. Verified against: the simulator only; no live sheet has been read
yet.
"""

import itertools
import re
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from hashlib import blake2b
from typing import Any
from urllib.parse import quote, urlencode

import msgspec

from warehouse_pipelines.errors import AnswerChanged, CursorStuck, WrongUse
from warehouse_pipelines.model.entity import Entity, columns
from warehouse_pipelines.model.reading import Extraction, Page, Portal, Window
from warehouse_pipelines.model.source import Source
from warehouse_pipelines.sources._google import GoogleSettings, client
from warehouse_pipelines.sources._http import Client
from warehouse_pipelines.sources._sheet_cells import Cells, zone_of

SCOPES = ("spreadsheets.readonly", "drive.metadata.readonly")
READS = 3
REREAD = timedelta(hours=23)
"""A read that is older is repeated though the version is the same; an hour less than a day, for a schedule of once a
day."""

PERMANENT = timedelta(days=1)
"""A column that has shown errors for so long is not waited for any more; what a formula brings from elsewhere is back
sooner."""

RANGES = 50
"""Ranges of one request, whose address would get too long with more."""

SUSPECT = re.compile(r"#.{1,30}|.{0,30}(?:\.\.\.|…)", re.DOTALL)
"""Texts that may be the face of an error: each begins with ``#`` but for "Loading...", which locales translate."""

IDENTITY = {
    "marketing_leads": "first_name last_name email phone",
    "marketing_spends": "date channel campaign",
}


class Settings(GoogleSettings):
    """A range is a tab, perhaps with columns and rows (``'My tab'!A:ZZ``); without one it is the first tab."""

    gsheet_marketing_lead_spreadsheet_id: str
    gsheet_marketing_lead_range: str = ""
    gsheet_marketing_spend_spreadsheet_id: str
    gsheet_marketing_spend_range: str = ""


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


RANGE = re.compile(r"(?:'((?:[^']|'')+)'|([^'!]+?))(?:!([A-Z]*)(\d*)(?::([A-Z]*)(\d*))?)?")


@dataclass(frozen=True)
class Area:
    """The cells that are read; ``top`` is the row of the header."""

    title: str
    left: str
    right: str
    top: int
    bottom: int
    sheet_id: int
    merges: tuple[Merge, ...] = ()

    def name(self, row: int, place: int) -> str:
        """Return the name of a cell, as people write it."""
        return f"{self._tab}!{self.letters(place)}{row}"

    def letters(self, place: int) -> str:
        """Return the letters of a column, counted from the first that is read."""
        return _letters(_number(self.left) + place)

    def column(self, place: int, first: int, last: int) -> str:
        """Return some cells of one column in A1 notation."""
        letters = self.letters(place)
        return f"{self._tab}!{letters}{first}:{letters}{last}"

    @property
    def _tab(self) -> str:
        return f"'{self.title.replace(chr(39), chr(39) * 2)}'"

    def rows(self, first: int, last: int) -> str:
        """Return some of its rows in A1 notation."""
        return f"{self._tab}!{self.left}{first}:{self.right}{last}"


@dataclass(frozen=True)
class Copy:
    """What was read: the header's row, and stretches of rows by the number of their first."""

    document: Document
    area: Area
    header: bytes
    stretches: Sequence[tuple[int, bytes]]
    version: str


def fetch(extraction: Extraction) -> Iterator[Page]:
    """Yield the rows of one sheet, unless it is the one that the last good run read."""
    entity = extraction.entity
    settings = Settings()
    of = entity.path
    spreadsheet_id = str(getattr(settings, f"gsheet_{of}_spreadsheet_id"))
    asked = str(getattr(settings, f"gsheet_{of}_range"))
    sheets = client(extraction, "Google Sheets", SCOPES, host="sheets")
    drive = client(extraction, "Google Drive", SCOPES)
    before = _version(drive, spreadsheet_id)
    declared = zlib.crc32(repr((sorted(entity.columns.items()), IDENTITY.get(entity.name))).encode())
    state = {"spreadsheet_id": spreadsheet_id, "range": asked, "declared": f"{declared:08x}"}
    extraction.noticed["modified_time"] = before.modified_time
    now = extraction.window.until
    if extraction.state.items() >= {**state, "version": before.version}.items() and _is_fresh(extraction.state, now):
        extraction.unchanged = True
        return
    copy = _copied(extraction, sheets, drive, spreadsheet_id, asked, before)
    zone = _zone(copy.document, entity)
    errors = Errors(sheets, spreadsheet_id, copy.area)
    titles = msgspec.json.decode(copy.header, type=Values).values
    errors.mark(copy.area.top, titles, copy.header)
    if errors.count:
        extraction.noticed["error_cells"] = errors.count
        extraction.changes_only = True
        extraction.doubt = (
            f"Google Sheets: {errors.named()}. It is in the header, so no row was loaded and nothing was tombstoned. "
            "The next run reads the sheet again; mend the formula if the error stays."
        )
        return
    cells = Cells(copy.document.locale, zone)
    sheet = Sheet(entity, spreadsheet_id, copy.area, cells, titles[0] if titles else [])
    sheet.require(entity)
    extraction.noticed |= sheet.noticed
    for first, stretch in copy.stretches:
        rows = msgspec.json.decode(stretch, type=Values).values
        errors.mark(first, rows, stretch)
        sheet.fill_merged(first, rows)
        found = [record for place, row in enumerate(rows) if (record := sheet.record(first + place, row))]
        yield Page(_completed(extraction, found))
    extraction.noticed |= sheet.noticed
    same_range = extraction.state.items() >= {"spreadsheet_id": spreadsheet_id, "range": asked}.items()
    former = extraction.state if same_range else {}
    since = {f"errors_in_{sheet.name(place)}": place for place in errors.first}
    begun = {name: former.get(name, now.isoformat()) for name in since}
    waiting = any(now - datetime.fromisoformat(at) < PERMANENT for at in begun.values())
    extraction.next_state = {**state, **begun, "read_at": now.isoformat()}
    if not waiting:
        extraction.next_state = {**extraction.next_state, "version": copy.version}
    if errors.count:
        extraction.noticed |= {"error_cells": errors.count, **begun}
        extraction.changes_only = waiting or sheet.left_out > 0
        new = [place for name, place in since.items() if name not in former]
        _report_errors(extraction, errors, new, sheet.left_out)


def inspect(extraction: Extraction) -> Portal:
    """Return the names of the header, and the rows that follow it. Raises ``AnswerChanged`` for a header of others."""
    entity = extraction.entity
    settings = Settings()
    spreadsheet_id = str(getattr(settings, f"gsheet_{entity.path}_spreadsheet_id"))
    sheets = client(extraction, "Google Sheets", SCOPES, host="sheets")
    document = _document(sheets, spreadsheet_id)
    area = _area(document, str(getattr(settings, f"gsheet_{entity.path}_range")))
    titles = msgspec.json.decode(_values(sheets, spreadsheet_id, area, area.top, area.top), type=Values).values
    cells = Cells(document.properties.locale, _zone(document.properties, entity))
    sheet = Sheet(entity, spreadsheet_id, area, cells, titles[0] if titles else [])
    sheet.require(entity)
    last = min(area.top + extraction.limit, area.bottom)
    rows = (
        msgspec.json.decode(_values(sheets, spreadsheet_id, area, area.top + 1, last), type=Values).values
        if last > area.top
        else []
    )
    found = [record for place, row in enumerate(rows) if (record := sheet.record(area.top + 1 + place, row))]
    made = [column.path for column in entity.columns.values() if column.path.startswith("_")]
    return Portal(dict.fromkeys([*sheet.names, *made], "cell"), [record.encoded() for record in found])


def _document(sheets: Client, spreadsheet_id: str) -> Spreadsheet:
    return sheets.get(
        f"/v4/spreadsheets/{quote(spreadsheet_id, safe='')}",
        Spreadsheet,
        params={
            "fields": "properties(title,timeZone,locale),"
            "sheets(merges,properties(sheetId,title,index,sheetType,gridProperties))"
        },
    )


def _zone(document: Document, entity: Entity) -> tzinfo:
    try:
        return zone_of(document.time_zone)
    except ValueError as error:
        raise WrongUse(
            f"Google Sheets: {document.title!r} (GSHEET_{entity.path.upper()}_SPREADSHEET_ID) is in the time zone "
            f"{document.time_zone!r}, which nobody here knows. Choose one in the sheet, under File, Settings, "
            "Time zone; nothing was loaded."
        ) from error


def _is_fresh(state: Mapping[str, str], now: datetime) -> bool:
    """Whether the last read is young enough for the version alone to be believed."""
    read_at = state.get("read_at")
    return read_at is not None and timedelta(0) <= now - datetime.fromisoformat(read_at) < REREAD


def _report_errors(extraction: Extraction, errors: "Errors", new: Sequence[int], left_out: int) -> None:
    """Make the run partial for errors in ``new`` columns and for rows that were left out."""
    if left_out:
        extraction.doubt = (
            f"Google Sheets: {errors.named(new)}. {left_out} rows were not loaded for errors that hide whom or what "
            "they are about. Nothing was tombstoned, since their stored rows cannot be told from deleted ones. This "
            "goes on until their formulas are mended, or the rows taken out of the sheet."
        )
    elif new:
        extraction.doubt = (
            f"Google Sheets: {errors.named(new)}. What those cells said before stays, and nothing is tombstoned for "
            "a day, unless the errors go away before; later runs count them in error_cells and are no longer partial "
            "for them. Mend their formulas if they stay."
        )


def _completed(extraction: Extraction, records: "Sequence[Row]") -> list[bytes]:
    """Return records as JSON; where a cell had an error, it says what the stored record of its row says."""
    broken = [str(record.id) for record in records if record.errors]
    stored = extraction.known.records(extraction.entity.table, broken, "id") if broken else {}
    found = []
    for record in records:
        if record.errors:
            former = stored.get(str(record.id))
            known = msgspec.json.decode(former, type=dict) if former else {}
            record.cells.update({name: known.get(name) for name in record.errors})
        found.append(record.encoded())
    return found


def _copied(
    extraction: Extraction, sheets: Client, drive: Client, spreadsheet_id: str, asked: str, before: File
) -> Copy:
    """Return a copy of the sheet that is of one moment."""
    former: tuple[Area, bytes] | None = None
    for attempt in range(1, READS + 1):
        at_once = attempt == READS
        document = _document(sheets, spreadsheet_id)
        area = _area(document, asked)
        if at_once:
            header, stretches = _at_once(sheets, spreadsheet_id, area)
        else:
            header = _values(sheets, spreadsheet_id, area, area.top, area.top)
            stretches = list(_stretches(sheets, spreadsheet_id, area, max(1, extraction.page_size)))
        copy = Copy(document.properties, area, header, stretches, before.version)
        after = _version(drive, spreadsheet_id)
        if at_once or after.version == before.version:
            break
        digest = blake2b(header)
        for _, stretch in stretches:
            digest.update(stretch)
        if former == (area, digest.digest()):
            break
        former, before = (area, digest.digest()), after
    if attempt > 1:
        extraction.noticed["edited_during_reads"] = attempt - 1
    return copy


def _stretches(sheets: Client, spreadsheet_id: str, area: Area, size: int) -> Iterator[tuple[int, bytes]]:
    """Yield the rows below the header, as bytes, since a sheet is complete before its first row is loaded."""
    first, length = area.top + 1, size
    while first <= area.bottom:
        last = min(first + length - 1, area.bottom)
        raw = _values(sheets, spreadsheet_id, area, first, last)
        if msgspec.json.decode(raw, type=Values).values:
            yield first, raw
            length = size
        else:
            length *= 2
        first = last + 1


def _at_once(sheets: Client, spreadsheet_id: str, area: Area) -> tuple[bytes, list[tuple[int, bytes]]]:
    """Return header and rows of one answer."""
    raw = _values(sheets, spreadsheet_id, area, area.top, area.bottom)
    answer = msgspec.json.decode(raw, type=Values)
    header, rows = answer.values[:1], answer.values[1:]
    parts = [Values(answer.range, header), Values(answer.range, rows)]
    return msgspec.json.encode(parts[0]), [(area.top + 1, msgspec.json.encode(parts[1]))]


def _version(drive: Client, spreadsheet_id: str) -> File:
    return drive.get(
        f"/drive/v3/files/{quote(spreadsheet_id, safe='')}",
        File,
        params={"fields": "version,modifiedTime", "supportsAllDrives": "true"},
    )


def _area(document: Spreadsheet, asked: str) -> Area:
    """Return the cells that the setting means, in the grid as it is now."""
    grids = [sheet.properties for sheet in document.sheets if sheet.properties.grid]
    merges = {sheet.properties.sheet_id: sheet.merges for sheet in document.sheets}
    found = RANGE.fullmatch(asked.strip())
    if asked.strip() and found is None:
        raise WrongUse(f"Google Sheets: {asked!r} is no range; write a tab, or 'My tab'!A:ZZ.")
    title = (found[1] or found[2]).replace("''", "'") if found else None
    tab = next((one for one in grids if title in (None, one.title)), None)
    if tab is None or tab.grid is None:
        raise WrongUse(
            f"Google Sheets: there is no tab {title!r}; there are {', '.join(repr(one.title) for one in grids)}. "
            "Was it renamed? Set its range anew; the rows that are there stay as they are."
        )
    left, top, right, bottom = (found[3], found[4], found[5], found[6]) if found else (None,) * 4
    last = min(_number(right) or tab.grid.columns, tab.grid.columns)
    return Area(
        title=tab.title,
        left=left or "A",
        right=_letters(last),
        top=int(top or 1),
        bottom=min(int(bottom or tab.grid.rows), tab.grid.rows),
        sheet_id=tab.sheet_id,
        merges=tuple(merges[tab.sheet_id]),
    )


def _values(sheets: Client, spreadsheet_id: str, area: Area, first: int, last: int) -> bytes:
    """Return some rows as they come, proven to be those."""
    asked = area.rows(first, last)
    path = f"/v4/spreadsheets/{quote(spreadsheet_id, safe='')}/values/{quote(asked, safe='')}"
    raw = sheets.get(
        path,
        msgspec.Raw,
        params={
            "majorDimension": "ROWS",
            "valueRenderOption": "UNFORMATTED_VALUE",
            "dateTimeRenderOption": "SERIAL_NUMBER",
        },
    )
    try:
        answer = msgspec.json.decode(raw, type=Values)
    except msgspec.ValidationError as error:
        raise AnswerChanged(f"Google Sheets answered rows {first} to {last} in another form: {error}") from error
    rows = re.search(r"(\d+)(?::[A-Z]+(\d+))?$", answer.range)
    if rows is None or int(rows[1]) != first or len(answer.values) > last - first + 1:
        raise CursorStuck(
            f"Google Sheets was asked for the rows {first} to {last} and answered {answer.range}; nothing was loaded."
        )
    return bytes(raw)


class ErrorCell:
    """Stands in a row where the sheet shows an error."""


ERROR = ErrorCell()


class Errors:
    """The cells of one read that show an error; ``first`` has the first one of each column, by its place."""

    def __init__(self, sheets: Client, spreadsheet_id: str, area: Area) -> None:
        self.sheets, self.spreadsheet_id, self.area = sheets, spreadsheet_id, area
        self.count = 0
        self.first: dict[int, str] = {}

    def named(self, preferred: Sequence[int] = ()) -> str:
        """Return a clause that names one cell, of the ``preferred`` columns if there are any, and counts the others."""
        others = f" and {self.count - 1} more cells do" if self.count > 1 else ""
        return f"{self.first[min(preferred or self.first)]} shows an error{others}"

    def mark(self, first: int, rows: Sequence[list[Any]], raw: bytes) -> None:
        """Put ``ERROR`` into the cells of ``rows`` that have one; ``raw`` is what they were decoded from."""
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
            for (place, at), data in zip(part, self._asked(asked), strict=True):
                for number in at:
                    error = _error(data, number - at[0], rows[number][place])
                    if error is None:
                        continue
                    self.count += 1
                    self.first.setdefault(place, f"{self.area.name(first + number, place)} ({error})")
                    rows[number][place] = ERROR

    def _asked(self, ranges: Sequence[str]) -> list[GridData]:
        """Return the cells of some ranges with what they are, in the order asked."""
        fields = "sheets(data(rowData(values(effectiveValue(errorValue(type),stringValue)))))"
        query = urlencode([*(("ranges", one) for one in ranges), ("fields", fields)])
        answer = self.sheets.get(f"/v4/spreadsheets/{quote(self.spreadsheet_id, safe='')}?{query}", GridAnswer)
        data = [data for sheet in answer.sheets for data in sheet.data]
        if len(data) != len(ranges):
            raise AnswerChanged(
                f"Google Sheets was asked for {len(ranges)} ranges and answered {len(data)}; nothing was loaded."
            )
        return data


def _error(data: GridData, number: int, text: str) -> str | None:
    """Return the kind of error that a cell shows; None for one in which this text was typed."""
    row = data.rows[number].cells if number < len(data.rows) else []
    value = row[0].value if row else None
    if value is not None and value.error is not None:
        return value.error.type
    return None if value is not None and value.text == text else "LOADING"


@dataclass
class Row:
    """A record and what its cells are called; ``errors`` names those that show one."""

    id: int
    known: Mapping[str, Any]
    cells: dict[str, Any]
    errors: Sequence[str]

    def encoded(self) -> bytes:
        """Return it as the loader wants it."""
        digest = blake2b(msgspec.json.encode(sorted(self.cells.items())), digest_size=16).hexdigest()
        return msgspec.json.encode({"_id": self.id, **self.known, "_content_hash": digest, **self.cells})


class Sheet:
    """The header of one read, and the records that its rows become; ``left_out`` counts rows that errors cost."""

    def __init__(self, entity: Entity, spreadsheet_id: str, area: Area, reader: Cells, titles: Sequence[Any]) -> None:
        self.area, self.reader = area, reader
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
        self.seen: Counter[str] = Counter()
        self.left_out = 0
        left = _number(area.left) - 1
        self.merges = [
            (merge, merge.left - left)
            for merge in area.merges
            if merge.bottom - merge.top > 1 and merge.top >= area.top and 0 <= merge.left - left < len(self.names)
        ]
        self.merged: dict[Merge, Any] = {}

    def name(self, place: int) -> str:
        """Return the name of a column, be it beyond the header."""
        return self.names[place] if place < len(self.names) else self._untitled(place)

    def _untitled(self, place: int) -> str:
        """Return the name of a column that has no header."""
        name = f"column_{self.area.letters(place).lower()}"
        return self._free(name) if name in self.titled else name

    def _free(self, name: str) -> str:
        """Return a name with the first number that no other column has: a cell of an equal name would be lost."""
        numbered = (f"{name}_{number}" for number in itertools.count(2))
        return next(one for one in numbered if one not in self.titled and one not in self.names)

    def require(self, entity: Entity) -> None:
        """Raise when an expected column is not named."""
        if self.missing:
            wanted = "; ".join(f"{name} ({' or '.join(entity.columns[name].paths)})" for name in self.missing)
            # A first row without any of the names is no header but somebody's data.
            has = ", ".join(self.names) if self.found else "none of the declared names"
            raise AnswerChanged(
                f"Google Sheets: the header of {self.area.title!r} lacks {wanted}; it has {has}. Was a column renamed? "
                "Name it as before, or declare the new name; nothing was loaded, and the rows that are there stay."
            )

    def fill_merged(self, first: int, rows: Sequence[list[Any]]) -> None:
        """Give the rows of merged cells the value of the first, where they have cells of their own."""
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

    def record(self, number: int, row: Sequence[Any]) -> Row | None:
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
        of = row_id(self.known["_spreadsheet_id"], self.area.sheet_id, who, occurrence)
        return Row(of, {**self.known, "_row_number": number}, cells, errors)

    def _read(self, name: str, cell: Any) -> Any:
        if cell == "" or cell is None or cell is ERROR:
            return None if cell == "" else cell
        return self.reader.read(self.kinds.get(name, "text"), cell)


def _is_blank(row: Sequence[Any]) -> bool:
    return all(cell is None or (isinstance(cell, str) and not cell.strip()) for cell in row)


def row_id(spreadsheet_id: str, sheet_id: int, who: str, occurrence: int) -> int:
    """Return the ``id`` of a row: 63 bits, which a million rows share with a chance of one in ten millions."""
    of = "\x1e".join((spreadsheet_id, str(sheet_id), who, str(occurrence)))
    return int.from_bytes(blake2b(of.encode(), digest_size=8).digest()) >> 1


def column_name(title: Any) -> str:
    """Return a header as columns are declared: ``" First Name"`` is ``first_name``."""
    return re.sub(r"\W+", "_", str(title).strip().casefold()).strip("_")


def _number(letters: str | None) -> int:
    number = 0
    for letter in letters or "":
        number = number * 26 + ord(letter) - 64
    return number


def _letters(column: int) -> str:
    found = ""
    while column:
        column, rest = divmod(column - 1, 26)
        found = chr(65 + rest) + found
    return found


ROW = columns(
    integer="id=_id row_number=_row_number",
    text="spreadsheet_id=_spreadsheet_id sheet_name=_sheet_name content_hash=_content_hash",
)
"""What every row of a sheet has besides its cells."""

MARKETING_LEADS = Entity(
    name="marketing_leads",
    table="gsheet_marketing_lead",
    about="Leads as the marketing department keeps them in a sheet.",
    path="marketing_lead",
    key="id",
    by_state=True,
    expected="first_name last_name email phone",
    index="email phone_e164",
    columns={
        **ROW,
        **columns(
            date="date=date|lead_date preferred_appt_date set_appt_date",
            text="""
                source=source|marketing_source campaign=campaign|utm_campaign first_name last_name
                notes=notes|call_notes utm_campaign utm_term utm_content channel page_source_name variant click_id
                click_type division form_submit_zipcode marketing_zip_check lead_type connection_status contact_reason
                no_set_reason after_hours callback_review call_center appt_set_by appt_result appt_result_reason
                appointment_outcome appointment_outcome_type keyword adgroup_name adgroup_id csr_disposition
                f9_list_name f9_last_campaign marketsharp_address genius_division genius_marketing_source
                marketsharp_source event_show_type event_show_name event_field_marketer google_ads_campaign_rename
            """,
            email="email=email|email_address",
            phone="phone=phone|phone_number",
            url="page_url call_recording",
            boolean="lead_set manager_followup multiple_inquiry spouses_present",
            integer="year recording_duration hold_time call_attempts appt_attempts",
            numeric="total_job_value cancel_job_value",
            timestamptz="created_at first_call_date_time appt_date_time f9_sys_created_date",
        ),
    },
)

MARKETING_SPENDS = Entity(
    name="marketing_spends",
    table="gsheet_marketing_spend",
    about="What was spent on marketing, by day, channel and campaign.",
    path="marketing_spend",
    key="id",
    by_state=True,
    expected="date channel campaign amount",
    index="date",
    columns={
        **ROW,
        **columns(
            date="date=date|spend_date event_start_date event_end_date",
            text="channel campaign campaign_id campaign_type division",
            numeric="amount=amount|cost event_fee event_labor_cost",
            integer="impressions clicks conversions",
        ),
    },
)


def check() -> str:
    """Ask Drive for the version of both sheets."""
    settings = Settings()
    extraction = Extraction(entity=MARKETING_LEADS, window=Window(None, datetime.now(UTC)))
    drive = client(extraction, "Google Drive", SCOPES)
    for spreadsheet_id in (
        settings.gsheet_marketing_lead_spreadsheet_id,
        settings.gsheet_marketing_spend_spreadsheet_id,
    ):
        _version(drive, spreadsheet_id)
    return "Google Sheets answers: the service account can read both sheets"


GSHEET = Source(
    name="gsheet",
    title="Google Sheets",
    transport="api",
    settings=Settings,
    fetch=fetch,
    check=check,
    inspect=inspect,
    place=lambda name, kind: column_name(name),
    page_size=2_000,
    pool=1,
    entities=(MARKETING_LEADS, MARKETING_SPENDS),
)

"""The simulated Sheets: two spreadsheets of a marketing department, typed by people.

A sheet is a header and an order of rows; a row is computed from its number and what has been changed in it, so a sheet
of a million rows holds no cells. Every edit raises the version that Drive tells of the file; a formula whose value
changes by itself (`recalculate`) does not. An error is a text among the values and an `errorValue` in the grid's data.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from warehouse_pipelines.simulators.core import journey
from warehouse_pipelines.simulators.core.faults import Fault
from warehouse_pipelines.simulators.core.journey import Journeys
from warehouse_pipelines.simulators.core.population import DIVISIONS, PAID_SOURCES, Town, misspell, spell_phone
from warehouse_pipelines.simulators.core.vendor import Vendor, operation
from warehouse_pipelines.simulators.core.wire import Answer, Request, answer_json
from warehouse_pipelines.simulators.google.answers import error_v4, masked

LEADS, SPENDS = "1LeadsOfTheMarketingDepartment", "1SpendOfTheMarketingDepartment"
EPOCH = datetime(1899, 12, 30)  # noqa: DTZ001  (a serial date has no zone)
RANGE = re.compile(r"(?:(?:'((?:[^']|'')+)'|([^'!]+))(?:!|$))?(?:([A-Z]*)(\d*)(?::([A-Z]*)(\d*))?)?")
ZONE = ZoneInfo("America/New_York")
SPARE_ROWS = 20  # a grid is larger than what is used of it

ERRORS = {
    "ERROR": "#ERROR!", "NULL_VALUE": "#NULL!", "DIVIDE_BY_ZERO": "#DIV/0!", "VALUE": "#VALUE!", "REF": "#REF!",
    "NAME": "#NAME?", "NUM": "#NUM!", "N_A": "#N/A", "LOADING": "Loading...",
}  # fmt: skip

LEAD_HEADER = (
    "Date", "Source", "Campaign", "First Name", " Last Name", "Email", "Phone", "Notes", "Created At", "UTM Campaign",
    "Form Submit Zipcode", "Call Attempts", "Lead Set", "Division", "", "Total Job Value", "Weather",
)  # fmt: skip
SPEND_HEADER = ("Date", "Channel", "Campaign", "Amount", "Impressions", "Clicks", "Conversions", "Division")


class CellError(NamedTuple):
    """A formula that has no value; an operation is given one as `{"error": "REF"}`."""

    type: str

    def __str__(self) -> str:
        return ERRORS[self.type]


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


class SheetsApi(Vendor):
    def __init__(self, town: Town, settings: Any) -> None:
        super().__init__(town, settings)
        self._born = datetime.fromtimestamp(self.now(), UTC).replace(microsecond=0, tzinfo=None)
        self._added = 0
        self.locales = {LEADS: "en_US", SPENDS: "en_US"}
        self.zones = {LEADS: "America/New_York", SPENDS: "America/New_York"}
        leads = Sheet(0, "Leads", list(LEAD_HEADER), self._lead, list(range(max(2, settings.contacts // 3))))
        self._journeys = Journeys(town, settings.contacts, int(self.now() * 1000))
        self._spends = max(2, settings.contacts // 4)
        spends = Sheet(0, "Spend", list(SPEND_HEADER), self._spend, list(range(self._spends)))
        notes = Sheet(71, "Read me", ["These sheets are filled by hand"], lambda number: {})
        self.sheets: dict[str, list[Sheet]] = {LEADS: [leads, notes], SPENDS: [notes, spends]}

    def now(self) -> float:
        raise NotImplementedError

    def touch(self, file_id: str) -> None:
        """The file was changed, whatever it was."""
        raise NotImplementedError

    def sheets_environment(self) -> dict[str, str]:
        return {
            "GSHEET_MARKETING_LEAD_SPREADSHEET_ID": LEADS,
            "GSHEET_MARKETING_LEAD_RANGE": "Leads",
            "GSHEET_MARKETING_SPEND_SPREADSHEET_ID": SPENDS,
            "GSHEET_MARKETING_SPEND_RANGE": "Spend!A:ZZ",
        }

    def _lead(self, number: int) -> dict[str, Any]:
        """Person ``3 * number`` as somebody typed them in; every ninth row is left blank."""
        if number % 9 == 7:
            return {}
        person, dice = self.town.person(3 * number), self.town.dice("sheet", number)
        created = datetime.fromtimestamp(self._journeys.after(person.number, journey.FORM) // 1000, ZONE)
        created = created.replace(tzinfo=None)
        phone: Any = spell_phone(person.phone, dice[1])
        if dice[1] % 5 == 0:
            phone = int(person.phone[2:])
        zip_code: Any = person.place.zip if dice[2] & 1 else int(person.place.zip)
        return {
            "Date": created.date(),
            "Source": "" if number == 0 else person.source,
            "Campaign": ("Spring gutters", "Storm", 2026)[dice[4] % 3],
            "First Name": person.nickname,
            " Last Name": person.last_name.upper() if dice[5] % 4 == 0 else misspell(person.last_name, dice[12]),
            "Email": f" {person.email.upper()}" if dice[6] % 3 == 0 else person.email,
            "Phone": phone,
            "Notes": "" if dice[7] & 1 else "call after five",
            "Created At": created,
            "UTM Campaign": "spring",
            "Form Submit Zipcode": zip_code,
            "Call Attempts": dice[8] % 6,
            "Lead Set": journey.visited(person.number),
            "Division": DIVISIONS[person.place.division],
            "Total Job Value": dice[11] * 100 + 0.5 if journey.sold(person.number) else "",
            "Weather": "",
        }

    def _spend(self, number: int) -> dict[str, Any]:
        dice = self.town.dice("spend", number)
        # As often as the rows suffice for the whole history; the last are of today.
        days = -(-self._spends // len(PAID_SOURCES))
        every = max(1, journey.HISTORY_MS // journey.DAY_MS // days)
        day = self._born.date() - timedelta(days=every * (days - 1 - number // len(PAID_SOURCES)))
        return {
            "Date": day,
            "Channel": PAID_SOURCES[number % len(PAID_SOURCES)],
            "Campaign": ("Spring gutters", "Storm")[number // 7 % 2],
            "Amount": (20 + dice[0]) * every + 0.25,
            "Impressions": dice[1] * 100,
            "Clicks": dice[2],
            "Conversions": "" if dice[3] & 1 else dice[3] % 9,
            "Division": DIVISIONS[dice[4] % 5],
        }

    # What is answered

    def _found(self, spreadsheet_id: str) -> list[Sheet] | Answer:
        if spreadsheet_id not in self.sheets:
            return error_v4(404, "NOT_FOUND", "Requested entity was not found.")
        if not self.sheets[spreadsheet_id]:
            message = "This operation is not supported for this document"
            return error_v4(400, "FAILED_PRECONDITION", message)
        return self.sheets[spreadsheet_id]

    def spreadsheet(self, request: Request, spreadsheet_id: str) -> Answer:
        sheets = self._found(spreadsheet_id)
        if isinstance(sheets, Answer):
            return sheets
        grids: dict[int, list[dict[str, Any]]] = {}
        for asked in request.query.get("ranges", []):
            found = self._area(sheets, asked)
            if isinstance(found, Answer):
                return found
            grids.setdefault(found[0].sheet_id, []).append(_grid_data(*found))
        fields = request.first("fields")
        with_data = "data" in fields if fields else request.first("includeGridData") == "true"
        described: list[dict[str, Any]] = []
        for place, sheet in enumerate(sheets):
            if "ranges" in request.query and sheet.sheet_id not in grids:
                continue
            size = {"rowCount": sheet.rows, "columnCount": sheet.columns}
            kind = {"sheetId": sheet.sheet_id, "title": sheet.title, "index": place, "sheetType": "GRID"}
            described.append({"properties": {**kind, "gridProperties": size}})
            if sheet.merges:
                described[-1]["merges"] = sheet.merges
            if with_data:
                everything = _grid_data(sheet, 1, sheet.rows, 1, sheet.columns) if not grids else None
                described[-1]["data"] = grids.get(sheet.sheet_id, [everything])
        chart = {"sheetId": 9, "title": "Chart", "index": len(sheets), "sheetType": "OBJECT"}
        title, locale, zone = "Marketing", self.locales[spreadsheet_id], self.zones[spreadsheet_id]
        body = {
            "spreadsheetId": spreadsheet_id,
            "properties": {"title": title, "locale": locale, "timeZone": zone},
            "sheets": [*described, *([] if grids else [{"properties": chart}])],
        }
        return answer_json(200, masked(body, fields))

    def values(self, request: Request, spreadsheet_id: str, asked: str) -> Answer:
        sheets = self._found(spreadsheet_id)
        if isinstance(sheets, Answer):
            return sheets
        shown = self._range(sheets, asked, request)
        if isinstance(shown, Answer):
            return shown
        body, rows = shown
        return answer_json(200, body, list_key="values", page_size=rows)

    def batch_get(self, request: Request, spreadsheet_id: str) -> Answer:
        sheets = self._found(spreadsheet_id)
        if isinstance(sheets, Answer):
            return sheets
        ranges = [self._range(sheets, asked, request) for asked in request.query.get("ranges", [])]
        for one in ranges:
            if isinstance(one, Answer):
                return one
        found = [one[0] for one in ranges if not isinstance(one, Answer)]
        return answer_json(200, {"spreadsheetId": spreadsheet_id, "valueRanges": found})

    def _area(self, sheets: list[Sheet], asked: str) -> tuple[Sheet, int, int, int, int] | Answer:
        """The sheet that a range means, its first and last row and its first and last column."""
        wrong = error_v4(400, "INVALID_ARGUMENT", f"Unable to parse range: {asked}")
        found = RANGE.fullmatch(asked)
        if found is None:
            return wrong
        title = (found[1] or found[2] or "").replace("''", "'")
        sheet = next((one for one in sheets if one.title == title), None)
        if sheet is None:
            return wrong
        left, top = _column(found[3]) or 1, int(found[4] or 1)
        right, bottom = _column(found[5]) or sheet.columns, int(found[6] or sheet.rows)
        if found[4] and not (found[5] or found[6]):
            right, bottom = left, top  # one cell
        if top > sheet.rows or left > sheet.columns:
            limits = f"Max rows: {sheet.rows}, max columns: {sheet.columns}"
            return error_v4(400, "INVALID_ARGUMENT", f"Range ({asked}) exceeds grid limits. {limits}")
        return sheet, top, min(bottom, sheet.rows), left, min(right, sheet.columns)

    def _range(self, sheets: list[Sheet], asked: str, request: Request) -> tuple[dict[str, Any], int] | Answer:
        found = self._area(sheets, asked)
        if isinstance(found, Answer):
            return found
        sheet, top, bottom, left, right = found
        last = min(bottom, sheet.used_rows)
        rows = [self._shown(sheet.cells(row)[left - 1 : right], request) for row in range(top, last + 1)]
        while rows and not rows[-1]:
            rows.pop()
        title = sheet.title
        name = title if re.fullmatch(r"\w+", title) else "'" + title.replace("'", "''") + "'"
        body: dict[str, Any] = {
            "range": f"{name}!{_letters(left)}{top}:{_letters(right)}{bottom}",
            "majorDimension": "ROWS",
        }
        end = RANGE.fullmatch(asked)
        asked_for = int((end and end[6]) or bottom) - top + 1
        return ({**body, "values": rows} if rows else body), asked_for

    def _shown(self, cells: list[Any], request: Request) -> list[Any]:
        plain = request.first("valueRenderOption") == "UNFORMATTED_VALUE"
        text = not plain or request.first("dateTimeRenderOption") == "FORMATTED_STRING"
        shown = [_cell(cell, plain=plain, dates_as_text=text) for cell in cells]
        while shown and shown[-1] == "":
            shown.pop()
        return shown

    # Operations from behind the scenes

    def _sheet(self, spreadsheet_id: str, title: str | None = None) -> Sheet:
        sheets = self.sheets[spreadsheet_id]
        wanted = "Leads" if spreadsheet_id == LEADS else "Spend"
        found = next((one for one in sheets if one.title == (title or wanted)), None)
        return found or next(one for one in sheets if one.sheet_id == 0)

    @operation
    def insert_row(self, spreadsheet_id: str, row: int | None = None, **cells: Any) -> int:
        """A new row before that one, 2 being the first below the header; at the end without. Returns its row."""
        sheet = self._sheet(spreadsheet_id)
        self._added += 1
        sheet.changes[-self._added] = {str(name): _typed(value) for name, value in cells.items()}
        place = len(sheet.order) if row is None else row - 1 - sheet.header_row
        sheet.order.insert(place, -self._added)
        self.touch(spreadsheet_id)
        return place + 1 + sheet.header_row

    @operation
    def edit_row(self, spreadsheet_id: str, row: int, **cells: Any) -> None:
        sheet = self._sheet(spreadsheet_id)
        number = sheet.order[row - 1 - sheet.header_row]
        sheet.changes.setdefault(number, {}).update({name: _typed(value) for name, value in cells.items()})
        self.touch(spreadsheet_id)

    @operation
    def recalculate(self, spreadsheet_id: str, row: int, **cells: Any) -> None:
        """Formulas have other values (IMPORTRANGE, NOW): nobody edited, so the version stays."""
        sheet = self._sheet(spreadsheet_id)
        number = sheet.order[row - 1 - sheet.header_row]
        sheet.changes.setdefault(number, {}).update({name: _typed(value) for name, value in cells.items()})

    @operation
    def keep_rows(self, spreadsheet_id: str, count: int) -> list[int]:
        """A formula shows only the first rows, without an edit; returns the rows that `show_rows` brings back."""
        sheet = self._sheet(spreadsheet_id)
        hidden, sheet.order = sheet.order[count:], sheet.order[:count]
        return hidden

    @operation
    def show_rows(self, spreadsheet_id: str, rows: list[int]) -> None:
        self._sheet(spreadsheet_id).order += rows

    @operation
    def merge_cells(self, spreadsheet_id: str, header: str, first: int, last: int) -> None:
        """Merge a column's cells of some rows, as a person does: the others of them are emptied."""
        sheet = self._sheet(spreadsheet_id)
        left = sheet.header.index(header)
        sheet.merges.append(
            {"sheetId": sheet.sheet_id, "startRowIndex": first - 1, "endRowIndex": last,
             "startColumnIndex": left, "endColumnIndex": left + 1}
        )  # fmt: skip
        for row in range(first + 1, last + 1):
            number = sheet.order[row - 1 - sheet.header_row]
            sheet.changes.setdefault(number, {})[header] = ""
        self.touch(spreadsheet_id)

    @operation
    def set_properties(self, spreadsheet_id: str, locale: str | None = None, time_zone: str | None = None) -> None:
        """The settings of the file: File, Settings."""
        self.locales[spreadsheet_id] = locale or self.locales[spreadsheet_id]
        self.zones[spreadsheet_id] = time_zone or self.zones[spreadsheet_id]
        self.touch(spreadsheet_id)

    @operation
    def add_empty_rows(self, spreadsheet_id: str, count: int) -> None:
        """The grid grows; nothing is in it."""
        self._sheet(spreadsheet_id).spare_rows += count
        self.touch(spreadsheet_id)

    @operation
    def delete_row(self, spreadsheet_id: str, row: int) -> int:
        """Returns the number of the row, which ``put_row`` brings back."""
        number = self._sheet(spreadsheet_id).order.pop(row - 1 - self._sheet(spreadsheet_id).header_row)
        self.touch(spreadsheet_id)
        return number

    @operation
    def put_row(self, spreadsheet_id: str, row: int, number: int) -> None:
        self._sheet(spreadsheet_id).order.insert(row - 1 - self._sheet(spreadsheet_id).header_row, number)
        self.touch(spreadsheet_id)

    @operation
    def sort_rows(self, spreadsheet_id: str, by: str) -> None:
        sheet = self._sheet(spreadsheet_id)
        place = sheet.header.index(by)

        def value(number: int) -> str:
            cells = sheet.cells(sheet.order.index(number) + 1 + sheet.header_row)
            return str(cells[place]) if place < len(cells) else ""

        sheet.order = sorted(sheet.order, key=value)
        self.touch(spreadsheet_id)

    @operation
    def clear_rows(self, spreadsheet_id: str) -> None:
        self._sheet(spreadsheet_id).order.clear()
        self.touch(spreadsheet_id)

    @operation
    def set_header(self, spreadsheet_id: str, header: list[Any]) -> None:
        """Other headers in the same place; a column is told by its header, so what is not named any more is gone."""
        self._sheet(spreadsheet_id).header = list(header)
        self.touch(spreadsheet_id)

    @operation
    def rename_header(self, spreadsheet_id: str, old: str, new: str) -> None:
        sheet = self._sheet(spreadsheet_id)
        formula = sheet.formula
        sheet.formula = lambda number: {new if name == old else name: value for name, value in formula(number).items()}
        sheet.header = [new if name == old else name for name in sheet.header]
        self.touch(spreadsheet_id)

    @operation
    def rename_tab(self, spreadsheet_id: str, title: str) -> None:
        self._sheet(spreadsheet_id).title = title
        self.touch(spreadsheet_id)

    @operation
    def become_xlsx(self, spreadsheet_id: str) -> None:
        """Somebody uploaded another file in its place, which is no native sheet."""
        self.sheets[spreadsheet_id] = []
        self.touch(spreadsheet_id)

    @operation
    def table(self, spreadsheet_id: str) -> list[dict[str, Any]]:
        """The truth: every row that is not blank, with its number, dates as text."""
        sheet = self._sheet(spreadsheet_id)
        found = []
        for row in range(sheet.header_row + 1, sheet.header_row + 1 + len(sheet.order)):
            cells = [_cell(cell, plain=True, dates_as_text=True) for cell in sheet.cells(row)]
            if any(str(cell).strip() for cell in cells):
                named = zip(sheet.header, cells, strict=False)
                found.append({"row": row, **{str(name): cell for name, cell in named}})
        return found

    def spoil_values(self, fault: Fault, request: Request, body: dict[str, Any]) -> None:
        rows = body.get("values") or []
        spreadsheet_id = request.path.split("/")[3]
        header = self._sheet(spreadsheet_id).header
        match fault.kind:
            case "repeat_page":
                first = self._range(
                    self.sheets[spreadsheet_id], f"{self._sheet(spreadsheet_id).title}!A2:Z{1 + len(rows)}", request
                )
                if not isinstance(first, Answer):
                    body.clear()
                    body.update(first[0])
            case "missing_list":
                body.pop(fault["key"] or "range", None)
            case "malformed":
                place = header.index(fault["property"]) if fault["property"] else 0
                for row in [row for row in rows if len(row) > 3][: fault["records"]]:
                    row.extend([""] * (place + 1 - len(row)))
                    row[place] = {"nul": "before\x00after"}.get(fault["what"], "not a date")
                if fault["what"] == "non_object" and rows:
                    rows[0] = "not a row"


def _typed(value: Any) -> Any:
    """A date or a time from its ISO text, which is how an operation is given one; a text from `{"text": ...}`."""
    if isinstance(value, dict):
        return CellError(value["error"]) if "error" in value else value["text"]
    if isinstance(value, str) and re.fullmatch(r"\d{4}-\d\d-\d\d", value):
        return date.fromisoformat(value)
    if isinstance(value, str) and re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d)?", value):
        return datetime.fromisoformat(value)
    return value


def _grid_data(sheet: Sheet, top: int, bottom: int, left: int, right: int) -> dict[str, Any]:
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
    if isinstance(value, CellError):
        return {"errorValue": {"type": value.type, "message": "There is no value."}}
    if isinstance(value, bool):
        return {"boolValue": value}
    shown = _cell(value, plain=True, dates_as_text=False)
    return {"stringValue": shown} if isinstance(shown, str) else {"numberValue": shown}


def _cell(value: Any, *, plain: bool, dates_as_text: bool) -> Any:
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


def _column(letters: str | None) -> int:
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

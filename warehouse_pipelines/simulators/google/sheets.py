"""The simulated Sheets API: spreadsheets with their grids, and values of ranges."""

from __future__ import annotations

import re
from typing import Any

from warehouse_pipelines.simulators.core.faults import Fault
from warehouse_pipelines.simulators.core.wire import Answer, Request, answer_json
from warehouse_pipelines.simulators.google.answers import error_v4, masked
from warehouse_pipelines.simulators.google.marketing import LEADS, SPENDS
from warehouse_pipelines.simulators.google.sheet import Sheet, column_letters, column_number, grid_data, shown_cell
from warehouse_pipelines.simulators.google.sheet_operations import SheetOperations

RANGE = re.compile(r"(?:(?:'((?:[^']|'')+)'|([^'!]+))(?:!|$))?(?:([A-Z]*)(\d*)(?::([A-Z]*)(\d*))?)?")


class SheetsApi(SheetOperations):
    def sheets_environment(self) -> dict[str, str]:
        return {
            "GSHEET_MARKETING_LEAD_SPREADSHEET_ID": LEADS,
            "GSHEET_MARKETING_LEAD_RANGE": "Leads",
            "GSHEET_MARKETING_SPEND_SPREADSHEET_ID": SPENDS,
            "GSHEET_MARKETING_SPEND_RANGE": "Spend!A:ZZ",
        }

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
            grids.setdefault(found[0].sheet_id, []).append(grid_data(*found))
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
                everything = grid_data(sheet, 1, sheet.rows, 1, sheet.columns) if not grids else None
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
        left, top = column_number(found[3]) or 1, int(found[4] or 1)
        right, bottom = column_number(found[5]) or sheet.columns, int(found[6] or sheet.rows)
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
            "range": f"{name}!{column_letters(left)}{top}:{column_letters(right)}{bottom}",
            "majorDimension": "ROWS",
        }
        end = RANGE.fullmatch(asked)
        asked_for = int((end and end[6]) or bottom) - top + 1
        return ({**body, "values": rows} if rows else body), asked_for

    def _shown(self, cells: list[Any], request: Request) -> list[Any]:
        formulas = request.first("valueRenderOption") == "FORMULA"
        plain = formulas or request.first("valueRenderOption") == "UNFORMATTED_VALUE"
        text = not plain or request.first("dateTimeRenderOption") == "FORMATTED_STRING"
        shown = [shown_cell(cell, plain=plain, dates_as_text=text, formulas=formulas) for cell in cells]
        while shown and shown[-1] == "":
            shown.pop()
        return shown

    def corrupt_values(self, fault: Fault, request: Request, body: dict[str, Any]) -> None:
        rows = body.get("values") or []
        spreadsheet_id = request.path.split("/")[3]
        header = self.sheet_of(spreadsheet_id).header
        match fault.kind:
            case "repeat_page":
                first = self._range(
                    self.sheets[spreadsheet_id], f"{self.sheet_of(spreadsheet_id).title}!A2:Z{1 + len(rows)}", request
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

"""What people do to the simulated spreadsheets.

Every edit raises the version that Drive tells of the file; a formula whose value changes by itself (`recalculate`) does
not.
"""

from __future__ import annotations

from typing import Any

from warehouse_pipelines.simulators.core.population import Population
from warehouse_pipelines.simulators.core.simulator import Simulator, operation
from warehouse_pipelines.simulators.google.marketing import LEADS, SPENDS, Marketing
from warehouse_pipelines.simulators.google.sheet import Sheet, shown_cell, typed


class SheetOperations(Simulator):
    def __init__(self, population: Population, settings: Any) -> None:
        super().__init__(population, settings)
        self._added = 0
        self.locales = {LEADS: "en_US", SPENDS: "en_US"}
        self.zones = {LEADS: "America/New_York", SPENDS: "America/New_York"}
        self.sheets = Marketing(population, settings.contacts, self.now()).sheets()

    def now(self) -> float:
        raise NotImplementedError

    def touch(self, file_id: str) -> None:
        """The file was changed, whatever it was."""
        raise NotImplementedError

    def sheet_of(self, spreadsheet_id: str, title: str | None = None) -> Sheet:
        sheets = self.sheets[spreadsheet_id]
        wanted = "Leads" if spreadsheet_id == LEADS else "Spend"
        found = next((one for one in sheets if one.title == (title or wanted)), None)
        return found or next(one for one in sheets if one.sheet_id == 0)

    @operation
    def insert_row(self, spreadsheet_id: str, row: int | None = None, **cells: Any) -> int:
        """A new row before that one, 2 being the first below the header; at the end without. Returns its row."""
        sheet = self.sheet_of(spreadsheet_id)
        self._added += 1
        sheet.changes[-self._added] = {str(name): typed(value) for name, value in cells.items()}
        place = len(sheet.order) if row is None else row - 1 - sheet.header_row
        sheet.order.insert(place, -self._added)
        self.touch(spreadsheet_id)
        return place + 1 + sheet.header_row

    @operation
    def edit_row(self, spreadsheet_id: str, row: int, **cells: Any) -> None:
        sheet = self.sheet_of(spreadsheet_id)
        number = sheet.order[row - 1 - sheet.header_row]
        sheet.changes.setdefault(number, {}).update({name: typed(value) for name, value in cells.items()})
        self.touch(spreadsheet_id)

    @operation
    def recalculate(self, spreadsheet_id: str, row: int, **cells: Any) -> None:
        """Formulas have other values (IMPORTRANGE, NOW): nobody edited, so the version stays."""
        sheet = self.sheet_of(spreadsheet_id)
        number = sheet.order[row - 1 - sheet.header_row]
        sheet.changes.setdefault(number, {}).update({name: typed(value) for name, value in cells.items()})

    @operation
    def keep_rows(self, spreadsheet_id: str, count: int) -> list[int]:
        """A formula shows only the first rows, without an edit; returns the rows that `show_rows` brings back."""
        sheet = self.sheet_of(spreadsheet_id)
        hidden, sheet.order = sheet.order[count:], sheet.order[:count]
        return hidden

    @operation
    def show_rows(self, spreadsheet_id: str, rows: list[int]) -> None:
        self.sheet_of(spreadsheet_id).order += rows

    @operation
    def merge_cells(self, spreadsheet_id: str, header: str, first: int, last: int) -> None:
        """Merge a column's cells of some rows, as a person does: the others of them are emptied."""
        sheet = self.sheet_of(spreadsheet_id)
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
        self.sheet_of(spreadsheet_id).spare_rows += count
        self.touch(spreadsheet_id)

    @operation
    def delete_row(self, spreadsheet_id: str, row: int) -> int:
        """Returns the number of the row, which ``put_row`` brings back."""
        number = self.sheet_of(spreadsheet_id).order.pop(row - 1 - self.sheet_of(spreadsheet_id).header_row)
        self.touch(spreadsheet_id)
        return number

    @operation
    def put_row(self, spreadsheet_id: str, row: int, number: int) -> None:
        self.sheet_of(spreadsheet_id).order.insert(row - 1 - self.sheet_of(spreadsheet_id).header_row, number)
        self.touch(spreadsheet_id)

    @operation
    def sort_rows(self, spreadsheet_id: str, by: str) -> None:
        sheet = self.sheet_of(spreadsheet_id)
        place = sheet.header.index(by)

        def value(number: int) -> str:
            cells = sheet.cells(sheet.order.index(number) + 1 + sheet.header_row)
            return str(cells[place]) if place < len(cells) else ""

        sheet.order = sorted(sheet.order, key=value)
        self.touch(spreadsheet_id)

    @operation
    def clear_rows(self, spreadsheet_id: str) -> None:
        self.sheet_of(spreadsheet_id).order.clear()
        self.touch(spreadsheet_id)

    @operation
    def set_header(self, spreadsheet_id: str, header: list[Any]) -> None:
        """Other headers in the same place; a column is told by its header, so one not named is none."""
        self.sheet_of(spreadsheet_id).header = list(header)
        self.touch(spreadsheet_id)

    @operation
    def rename_header(self, spreadsheet_id: str, old: str, new: str) -> None:
        sheet = self.sheet_of(spreadsheet_id)
        formula = sheet.formula
        sheet.formula = lambda number: {new if name == old else name: value for name, value in formula(number).items()}
        sheet.header = [new if name == old else name for name in sheet.header]
        self.touch(spreadsheet_id)

    @operation
    def rename_tab(self, spreadsheet_id: str, title: str) -> None:
        self.sheet_of(spreadsheet_id).title = title
        self.touch(spreadsheet_id)

    @operation
    def become_xlsx(self, spreadsheet_id: str) -> None:
        """Somebody uploaded another file in its place, which is no native sheet."""
        self.sheets[spreadsheet_id] = []
        self.touch(spreadsheet_id)

    @operation
    def table(self, spreadsheet_id: str) -> list[dict[str, Any]]:
        """The truth: every row that is not blank, with its number, dates as text."""
        sheet = self.sheet_of(spreadsheet_id)
        found = []
        for row in range(sheet.header_row + 1, sheet.header_row + 1 + len(sheet.order)):
            cells = [shown_cell(cell, plain=True, dates_as_text=True) for cell in sheet.cells(row)]
            if any(str(cell).strip() for cell in cells):
                named = zip(sheet.header, cells, strict=False)
                found.append({"row": row, **{str(name): cell for name, cell in named}})
        return found

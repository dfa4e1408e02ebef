"""Requests to Google for one spreadsheet: Drive says its version, Sheets says its tabs and cells."""

import contextlib
import re
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from warehouse_pipelines.errors import AnswerChanged, CursorStuck, RequestRefused
from warehouse_pipelines.model.reading import ReadContext
from warehouse_pipelines.sources import _google
from warehouse_pipelines.sources._google_requests import ask, calls
from warehouse_pipelines.sources.gsheet.answers import File, GridAnswer, GridData, Spreadsheet, Values
from warehouse_pipelines.sources.gsheet.area import Area

SCOPES = ("spreadsheets.readonly", "drive.metadata.readonly")


class GridExceeded(RequestRefused):
    """The range is not in the grid: rows or columns were deleted since it was decided on."""


class GSheetClient:
    """One spreadsheet, as the service account may read it."""

    def __init__(self, context: ReadContext, spreadsheet_id: str) -> None:
        self.spreadsheet_id = spreadsheet_id
        self._sheets = _google.client(context, "Google Sheets", SCOPES, host="sheets")
        self._drive = _google.client(context, "Google Drive", SCOPES)

    def version(self) -> File:
        """Return the version of the file, which any edit changes."""
        files = calls("drive", "v3", "files")
        wanted = files.get(fileId=self.spreadsheet_id, fields="version,modifiedTime", supportsAllDrives=True)
        return ask(self._drive, wanted, File)

    def spreadsheet(self) -> Spreadsheet:
        """Return locale, time zone and tabs."""
        fields = (
            "properties(title,timeZone,locale),sheets(merges,properties(sheetId,title,index,sheetType,gridProperties))"
        )
        return ask(self._sheets, self._calls.get(spreadsheetId=self.spreadsheet_id, fields=fields), Spreadsheet)

    @property
    def _calls(self) -> Any:
        return calls("sheets", "v4", "spreadsheets")

    def values(self, area: Area, first: int, last: int | None, *, formulas: bool = False) -> bytes:
        """Return the rows from ``first`` to ``last`` undecoded, without ``last`` all from ``first``.

        Raises ``CursorStuck`` for an answer of other rows and ``GridExceeded`` for a row that the sheet does not have.
        ``formulas`` asks for the text of each formula, which begins with ``=``, in the place of its value.
        """
        rows = calls("sheets", "v4", "spreadsheets.values").get(
            spreadsheetId=self.spreadsheet_id, range=area.rows(first, last), majorDimension="ROWS",
            valueRenderOption="FORMULA" if formulas else "UNFORMATTED_VALUE", dateTimeRenderOption="SERIAL_NUMBER",
        )  # fmt: skip
        with _within_grid():
            raw = ask(self._sheets, rows, msgspec.Raw)
        try:
            answer = msgspec.json.decode(raw, type=Values)
        except msgspec.ValidationError as error:
            raise AnswerChanged(
                f"Google Sheets answered rows {first} to {last or 'the end'} in another form: {error}"
            ) from error
        found = re.search(r"(\d+)(?::[A-Z]+(\d+))?$", answer.range)
        if found is None or int(found[1]) != first or (last and len(answer.values) > last - first + 1):
            raise CursorStuck(
                f"Google Sheets was asked for the rows {first} to {last or 'the end'} and answered "
                f"{answer.range}; nothing was loaded."
            )
        return bytes(raw)

    def effective_values(self, ranges: Sequence[str]) -> list[GridData]:
        """Return the cells of some ranges with their ``effectiveValue``, in the order asked.

        Without cells where rows of any range were deleted meanwhile. Raises ``AnswerChanged`` for another number of
        ranges.
        """
        fields = "sheets(data(rowData(values(effectiveValue(errorValue(type),stringValue)))))"
        grid = self._calls.get(spreadsheetId=self.spreadsheet_id, ranges=list(ranges), fields=fields)
        try:
            with _within_grid():
                answer = ask(self._sheets, grid, GridAnswer)
        except GridExceeded:
            return [GridData()] * len(ranges)
        data = [data for sheet in answer.sheets for data in sheet.data]
        if len(data) != len(ranges):
            raise AnswerChanged(
                f"Google Sheets was asked for {len(ranges)} ranges and answered {len(data)}; nothing was loaded."
            )
        return data


@contextlib.contextmanager
def _within_grid() -> Iterator[None]:
    """Raise ``GridExceeded`` for a refusal that says so; it has the status of any wrong range."""
    try:
        yield
    except RequestRefused as refused:
        if refused.status == 400 and "exceeds grid limits" in str(refused):
            raise GridExceeded(str(refused)) from refused
        raise

"""Requests to Google for one spreadsheet: Drive says its version, Sheets says its tabs and cells."""

import re
from collections.abc import Sequence
from urllib.parse import quote, urlencode

import msgspec

from warehouse_pipelines.errors import AnswerChanged, CursorStuck
from warehouse_pipelines.model.reading import ReadContext
from warehouse_pipelines.sources import _google
from warehouse_pipelines.sources.gsheet.answers import File, GridAnswer, GridData, Spreadsheet, Values
from warehouse_pipelines.sources.gsheet.area import Area

SCOPES = ("spreadsheets.readonly", "drive.metadata.readonly")


class GSheetClient:
    """One spreadsheet, as the service account may read it."""

    def __init__(self, context: ReadContext, spreadsheet_id: str) -> None:
        self.spreadsheet_id = spreadsheet_id
        self._quoted_id = quote(spreadsheet_id, safe="")
        self._sheets = _google.client(context, "Google Sheets", SCOPES, host="sheets")
        self._drive = _google.client(context, "Google Drive", SCOPES)

    def version(self) -> File:
        """Return the version of the file, which any edit changes."""
        return self._drive.get(
            f"/drive/v3/files/{self._quoted_id}",
            File,
            params={"fields": "version,modifiedTime", "supportsAllDrives": "true"},
        )

    def spreadsheet(self) -> Spreadsheet:
        """Return locale, time zone and tabs."""
        return self._sheets.get(
            f"/v4/spreadsheets/{self._quoted_id}",
            Spreadsheet,
            params={
                "fields": "properties(title,timeZone,locale),"
                "sheets(merges,properties(sheetId,title,index,sheetType,gridProperties))"
            },
        )

    def values(self, area: Area, first: int, last: int) -> bytes:
        """Return the rows from ``first`` to ``last`` undecoded; raise ``CursorStuck`` for an answer of other rows."""
        path = f"/v4/spreadsheets/{self._quoted_id}/values/{quote(area.rows(first, last), safe='')}"
        raw = self._sheets.get(
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
                f"Google Sheets was asked for the rows {first} to {last} and answered {answer.range}; nothing was "
                "loaded."
            )
        return bytes(raw)

    def effective_values(self, ranges: Sequence[str]) -> list[GridData]:
        """Return the cells of some ranges with their ``effectiveValue``, in the order asked.

        Raises ``AnswerChanged`` for another number of them.
        """
        fields = "sheets(data(rowData(values(effectiveValue(errorValue(type),stringValue)))))"
        query = urlencode([*(("ranges", one) for one in ranges), ("fields", fields)])
        answer = self._sheets.get(f"/v4/spreadsheets/{self._quoted_id}?{query}", GridAnswer)
        data = [data for sheet in answer.sheets for data in sheet.data]
        if len(data) != len(ranges):
            raise AnswerChanged(
                f"Google Sheets was asked for {len(ranges)} ranges and answered {len(data)}; nothing was loaded."
            )
        return data

"""Google Sheets: what the marketing department types, its leads and its spending.

Sheets has no cursor, no pages and no record ids. So: Drive is asked for the file's ``version`` first, which any change
raises; equal to that of the last good run, nothing else is read. Otherwise the tab is read whole, in stretches of rows
that ``--batch-size`` sets, and Drive is asked again: a sheet that was edited meanwhile is read anew, three times before
the run gives up, so that the copy is of one moment. It replaces the last copy in one transaction; rows that are no
longer in it are tombstoned.

**The header** is the contract: columns are found by name wherever they stand, ``First Name`` being ``first_name``.
Without one of ``Entity.expected`` nothing is loaded and the old rows stay. Headers that nobody declared are reported in
the history row and their cells kept in ``raw_data``, as are those of a column without a header (named by its letter)
and of a second one of the same name (``notes_2``). Declared columns that are not there are null, and reported.

**Types** come from the declaration alone, never from a row: cells are asked for unformatted, and a number in a column
that is a date or a time is a serial date in the spreadsheet's own time zone. A postcode that was typed as a number has
lost its zeros before we see it.

**Identity**: a row has none of its own, and its number changes when somebody inserts another. ``id`` is a hash of the
tab, of the cells that say who or what a row is about (``IDENTITY``), and of how many rows above say the same. So a row
that moves stays the row it was, with another ``row_number``; an edit of a note or an amount is an update; an edit of
the identity is a deletion and a new row. Rows of equal identity may change places among themselves, never multiply.
``content_hash`` is of all cells. ``raw_data`` is ours to name, because a row has no names: the header's, in snake case.

Left out: ``sheet_last_modified`` of the catalogue, which would touch every row with every edit (it stands in the
history row); tabs other than the configured one; formats. A ``date`` that cannot be read sets its row aside; in the
other columns people type what they like, so what does not fit becomes null with a warning and stays in ``raw_data``.

Unconfirmed: the words of the errors for a range past the grid and for an uploaded .xlsx; both end the run by their
status. Settings: ``Settings``. Verified against: the simulator only; no live sheet has been read yet.
"""

import re
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import Any
from urllib.parse import quote
from zoneinfo import ZoneInfo

import msgspec

from warehouse_pipelines.entity import Entity, Extraction, Page, Source, Window, columns
from warehouse_pipelines.errors import AnswerChanged, CursorStuck, VendorUnavailable, WrongUse
from warehouse_pipelines.sources._google import GoogleSettings, client
from warehouse_pipelines.sources._http import Client

SCOPES = ("spreadsheets.readonly", "drive.metadata.readonly")
READS = 3
EPOCH = datetime(1899, 12, 30)  # noqa: DTZ001  (a serial date has no zone)

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


class Listed(msgspec.Struct):
    properties: Tab


class Document(msgspec.Struct):
    time_zone: str = msgspec.field(name="timeZone")


class Spreadsheet(msgspec.Struct):
    properties: Document
    sheets: list[Listed]


class Values(msgspec.Struct):
    """Rows are cut at their last cell, and the list at its last row; without any there is no list at all."""

    range: str
    values: list[list[Any]] = []


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

    def rows(self, first: int, last: int) -> str:
        """Return some of its rows in A1 notation."""
        return f"'{self.title.replace(chr(39), chr(39) * 2)}'!{self.left}{first}:{self.right}{last}"


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
    if extraction.state == {**state, "version": before.version}:
        extraction.unchanged = True
        return
    for _ in range(READS):
        document = sheets.get(
            f"/v4/spreadsheets/{quote(spreadsheet_id, safe='')}",
            Spreadsheet,
            params={"fields": "properties.timeZone,sheets.properties(sheetId,title,index,sheetType,gridProperties)"},
        )
        area = _area(document, asked)
        header = _values(sheets, spreadsheet_id, area, area.top, area.top)
        size = max(1, extraction.page_size)
        # The bytes of the stretches, because a sheet is complete before its first row is loaded.
        stretches = [
            (first, _values(sheets, spreadsheet_id, area, first, min(first + size - 1, area.bottom)))
            for first in range(area.top + 1, area.bottom + 1, size)
        ]
        after = _version(drive, spreadsheet_id)
        if after.version == before.version:
            break
        before = after
    else:
        raise VendorUnavailable(
            f"Google Sheets: {area.title!r} was edited during each of {READS} reads; nothing was loaded. Try later."
        )
    titles = msgspec.json.decode(header, type=Values).values
    sheet = Sheet(entity, spreadsheet_id, area, ZoneInfo(document.properties.time_zone), titles[0] if titles else [])
    sheet.require(entity)
    extraction.noticed |= sheet.noticed
    for first, stretch in stretches:
        rows = msgspec.json.decode(stretch, type=Values).values
        yield Page([record for place, row in enumerate(rows) if (record := sheet.record(first + place, row))])
    extraction.next_state = {**state, "version": before.version}


def _version(drive: Client, spreadsheet_id: str) -> File:
    return drive.get(
        f"/drive/v3/files/{quote(spreadsheet_id, safe='')}",
        File,
        params={"fields": "version,modifiedTime", "supportsAllDrives": "true"},
    )


def _area(document: Spreadsheet, asked: str) -> Area:
    """Return the cells that the setting means, in the grid as it is now."""
    grids = [sheet.properties for sheet in document.sheets if sheet.properties.grid]
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


class Sheet:
    """The header of one read, and the records that its rows become."""

    def __init__(self, entity: Entity, spreadsheet_id: str, area: Area, zone: ZoneInfo, titles: Sequence[Any]) -> None:
        self.area, self.zone = area, zone
        self.known = {"_spreadsheet_id": spreadsheet_id, "_sheet_name": area.title}
        self.names: list[str] = []
        blank, twice = [], []
        met: Counter[str] = Counter()
        for place, title in enumerate(titles):
            name = column_name(title)
            if not name:
                name = f"column_{self._letter(place)}"
                blank.append(name)
            met[name] += 1
            if met[name] > 1:
                twice.append(name)
                name = f"{name}_{met[name]}"
            self.names.append(name)
        self.kinds: dict[str, str] = {}
        for column in entity.columns.values():
            for path in column.paths:
                if column.kind in ("date", "timestamptz"):
                    self.kinds[path] = column.kind
        declared = {path for column in entity.columns.values() for path in column.paths}
        here = set(self.names)
        absent = [
            name
            for name, column in entity.columns.items()
            if not here & set(column.paths) and not column.path.startswith("_")
        ]
        self.found = bool(here & declared)
        self.missing = [name for name in entity.expected.split() if name in absent]
        self.noticed = {
            "header": [str(title) for title in titles],
            "unknown_headers": [name for name in self.names if name not in declared and name not in blank],
            "blank_headers": blank,
            "duplicate_headers": twice,
            "absent_columns": absent,
        }
        identity = IDENTITY.get(entity.name, "").split() or list(entity.columns)
        self.identity = [next((path for path in entity.columns[n].paths if path in here), n) for n in identity]
        self.seen: Counter[str] = Counter()

    def _letter(self, place: int) -> str:
        return _letters(_number(self.area.left) + place).lower()

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

    def record(self, number: int, row: Sequence[Any]) -> bytes | None:
        """Return the record of a row; None for a blank one."""
        if all(cell is None or (isinstance(cell, str) and not cell.strip()) for cell in row):
            return None
        names = [*self.names, *(f"column_{self._letter(place)}" for place in range(len(self.names), len(row)))]
        cells = {name: self._read(name, row[place] if place < len(row) else None) for place, name in enumerate(names)}
        who = "\x1f".join(str(cells.get(name) or "").strip().casefold() for name in self.identity)
        occurrence = self.seen[who]
        self.seen[who] += 1
        return msgspec.json.encode(
            {
                "_id": row_id(self.known["_spreadsheet_id"], self.area.sheet_id, who, occurrence),
                **self.known,
                "_row_number": number,
                "_content_hash": blake2b(msgspec.json.encode(sorted(cells.items())), digest_size=16).hexdigest(),
                **cells,
            }
        )

    def _read(self, name: str, cell: Any) -> Any:
        """Return a cell as it is, but a serial date as what it means."""
        if cell == "" or name not in self.kinds or isinstance(cell, bool) or not isinstance(cell, int | float):
            return None if cell == "" else cell
        try:
            at = EPOCH + timedelta(milliseconds=round(cell * 86_400_000))
        except OverflowError:
            return cell
        if self.kinds[name] == "date":
            return at.date().isoformat()
        return at.replace(tzinfo=self.zone).isoformat()


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
    page_size=2_000,
    pool=1,
    entities=(MARKETING_LEADS, MARKETING_SPENDS),
)

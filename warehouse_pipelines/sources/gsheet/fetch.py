"""Read one sheet: decide whether to read it, snapshot it, make records of its rows.

Sheets has no cursor, no pages and no record ids. So Drive is asked for the file's ``version`` first, and nothing else
is read if it is that of the last good run. Values that a formula brings from elsewhere (IMPORTRANGE, NOW,
GOOGLEFINANCE) change without a new version, so a sheet is read at least once a day. The rows of a read replace those
of the last one in one transaction; rows that are absent from it are tombstoned.

Error cells (``error_cells``) hold no data. The column keeps the value of the last read, and the run in which a column
begins to show errors ends ``partial`` with the cell's name. While a column has shown them for less than a day
(``PERMANENT``) nothing is tombstoned, since a formula may fill more cells than its own, and every run reads the sheet,
since an error may go away without an edit. After a day they are permanent, as ``#N/A`` of a lookup is: deletes are
detected again, and the history row goes on counting them (``error_cells``). ``--full`` takes every error for a new
one.

A row whose identity has an error, or that has nothing but errors, is not loaded; with an error in the header no row
is. The stored row of such a row is unknown, so nothing is tombstoned while there are any, and each read ends
``partial``.

An unknown time zone of the spreadsheet ends the run: a wrong one would shift every time without a trace.

Verified against the simulator only; no live sheet has been read yet.
"""

import contextlib
import zlib
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta, tzinfo
from typing import Any

import msgspec

from warehouse_pipelines.errors import WrongUse
from warehouse_pipelines.model.entity import Entity
from warehouse_pipelines.model.reading import NotStored, Page, Pages, Portal, ReadContext, ReadReport, ReadRequest
from warehouse_pipelines.sources.gsheet.answers import Document, Values
from warehouse_pipelines.sources.gsheet.area import Area, area_of
from warehouse_pipelines.sources.gsheet.cells import Cells, zone_of
from warehouse_pipelines.sources.gsheet.client import GridExceeded, GSheetClient
from warehouse_pipelines.sources.gsheet.error_cells import Errors
from warehouse_pipelines.sources.gsheet.rows import IDENTITY, GSheetReader, Row
from warehouse_pipelines.sources.gsheet.settings import Settings
from warehouse_pipelines.sources.gsheet.snapshot import take_snapshot

REREAD = timedelta(hours=23)
"""Read again after this time even if the version is the same; an hour less than a day, for a daily schedule."""

PERMANENT = timedelta(days=1)
"""A column that has shown errors for this long is no longer waited for; values from elsewhere come back sooner."""


def fetch(request: ReadRequest, context: ReadContext) -> Pages:
    """Yield the rows of one sheet, unless the last good run read the same version."""
    entity = request.entity
    spreadsheet_id, asked = Settings().spreadsheet_of(entity.path)
    client = GSheetClient(context, spreadsheet_id)
    before = client.version()
    declared = zlib.crc32(repr((sorted(entity.columns.items()), IDENTITY.get(entity.name))).encode())
    state = {"spreadsheet_id": spreadsheet_id, "range": asked, "declared": f"{declared:08x}"}
    context.note(modified_time=before.modified_time)
    now = request.window.until
    if request.state.items() >= {**state, "version": before.version}.items() and _is_fresh(request.state, now):
        return ReadReport(changes_only=True)
    snapshot = take_snapshot(context, client, asked, before, request.page_size)
    zone = _zone(snapshot.document, entity)
    errors = Errors(client, snapshot.area)
    titles = msgspec.json.decode(snapshot.header, type=Values).values
    errors.mark(snapshot.area.top, titles, snapshot.header)
    if errors.count:
        context.note(error_cells=errors.count)
        return _refused_header(errors)
    cells = Cells(snapshot.document.locale, zone)
    reader = GSheetReader(entity, spreadsheet_id, snapshot.area, cells, titles[0] if titles else [])
    reader.require(entity)
    context.note(**reader.noticed)
    formulas = _formulas(client, snapshot.area)
    for first, stretch in snapshot.stretches:
        rows = msgspec.json.decode(stretch, type=Values).values
        errors.mark(first, rows, stretch)
        reader.fill_merged(first, rows)
        reader.empty_unfilled(first, rows, formulas)
        yield Page(_completed(entity, context, reader.records(first, rows)))
    context.note(**reader.noticed, **({"unfilled_rows": reader.unfilled} if reader.unfilled else {}))
    return _report(request, context, state, snapshot.version, errors, reader)


def inspect(request: ReadRequest, context: ReadContext) -> Portal:
    """Return the names of the header, and the first rows. Raises ``AnswerChanged`` for a header of others."""
    entity = request.entity
    spreadsheet_id, asked = Settings().spreadsheet_of(entity.path)
    client = GSheetClient(context, spreadsheet_id)
    spreadsheet = client.spreadsheet()
    area = area_of(spreadsheet, asked)
    titles = msgspec.json.decode(client.values(area, area.top, area.top), type=Values).values
    cells = Cells(spreadsheet.properties.locale, _zone(spreadsheet.properties, entity))
    reader = GSheetReader(entity, spreadsheet_id, area, cells, titles[0] if titles else [])
    reader.require(entity)
    first, last = area.top + 1, min(area.top + request.limit, area.bottom)
    rows = msgspec.json.decode(client.values(area, first, last), type=Values).values if last >= first else []
    made = [column.path for column in entity.columns.values() if column.path.startswith("_")]
    reader.empty_unfilled(first, rows, _formulas(client, area))
    return Portal(dict.fromkeys([*reader.names, *made], "cell"), [row.encoded() for row in reader.records(first, rows)])


def _is_fresh(state: Mapping[str, str], now: datetime) -> bool:
    """Return whether the last read is recent enough to trust the version alone."""
    read_at = state.get("read_at")
    return read_at is not None and timedelta(0) <= now - datetime.fromisoformat(read_at) < REREAD


def _zone(document: Document, entity: Entity) -> tzinfo:
    try:
        return zone_of(document.time_zone)
    except ValueError as error:
        raise WrongUse(
            f"Google Sheets: {document.title!r} (GSHEET_{entity.path.upper()}_SPREADSHEET_ID) is in the time zone "
            f"{document.time_zone!r}, which nobody here knows. Choose one in the sheet, under File, Settings, "
            "Time zone; nothing was loaded."
        ) from error


def _formulas(client: GSheetClient, area: Area) -> Callable[[int, int], list[list[Any]]]:
    """Return what asks for rows with the text of their formulas; for none if rows were deleted meanwhile."""

    def ask(first: int, last: int) -> list[list[Any]]:
        with contextlib.suppress(GridExceeded):
            return msgspec.json.decode(client.values(area, first, last, formulas=True), type=Values).values
        return []

    return ask


def _stored_unfilled(request: ReadRequest, context: ReadContext, reader: GSheetReader) -> list[str]:
    """Return the keys of living rows that nobody filled in; without a warehouse none."""
    with contextlib.suppress(NotStored):
        table = request.entity.table
        return list(reader.stored_unfilled(lambda ids: context.known.records(table, ids, living=True)))
    return []


def _completed(entity: Entity, context: ReadContext, rows: Sequence[Row]) -> list[bytes]:
    """Return rows as JSON; an error cell gets the value of the stored record of its row, without a warehouse none."""
    broken = [str(row.id) for row in rows if row.errors]
    stored: Mapping[str, bytes] = {}
    with contextlib.suppress(NotStored):
        stored = context.known.records(entity.table, broken, "id") if broken else {}
    found = []
    for row in rows:
        if row.errors:
            former = stored.get(str(row.id))
            values = msgspec.json.decode(former, type=dict) if former else {}
            row.cells.update({name: values.get(name) for name in row.errors})
        found.append(row.encoded())
    return found


def _refused_header(errors: Errors) -> ReadReport:
    """Return the report of a read without rows: an error hides the name of a column."""
    return ReadReport(
        changes_only=True,
        unproven=f"Google Sheets: {errors.named()}. It is in the header, so no row was loaded and nothing was "
        "tombstoned. The next run reads the sheet again; mend the formula if the error stays.",
    )


def _report(
    request: ReadRequest,
    context: ReadContext,
    state: Mapping[str, str],
    version: str,
    errors: Errors,
    reader: GSheetReader,
) -> ReadReport:
    """Return the state for the next run, and what the errors of this one prevent.

    The version is left out while errors may go away by themselves, so that the next run reads the sheet.
    """
    now = request.window.until
    same_range = request.state.items() >= {name: state[name] for name in ("spreadsheet_id", "range")}.items()
    former = request.state if same_range else {}
    shown = {f"errors_in_{reader.name(place)}": place for place in errors.first}
    begun = {name: former.get(name, now.isoformat()) for name in shown}
    waiting = any(now - datetime.fromisoformat(at) < PERMANENT for at in begun.values())
    next_state = {**state, **begun, "read_at": now.isoformat(), **({} if waiting else {"version": version})}
    withdrawn = _stored_unfilled(request, context, reader)
    if not errors.count:
        return ReadReport(withdrawn_keys=withdrawn, next_state=next_state)
    context.note(error_cells=errors.count, **begun)
    new = [place for name, place in shown.items() if name not in former]
    return ReadReport(
        changes_only=waiting or reader.left_out > 0,
        withdrawn_keys=withdrawn,
        unproven=_unproven(errors, new, reader),
        next_state=next_state,
    )


def _unproven(errors: Errors, new: Sequence[int], reader: GSheetReader) -> str | None:
    """Return why errors in ``new`` columns, and rows that were left out, make the run partial."""
    if reader.left_out:
        return (
            f"Google Sheets: {errors.named(new)}. {reader.left_out} rows were not loaded for errors that hide whom or "
            "what they are about. Nothing was tombstoned, since their stored rows cannot be told from deleted ones. "
            "This goes on until their formulas are mended, or the rows taken out of the sheet."
        )
    if new:
        return (
            f"Google Sheets: {errors.named(new)}. What those cells said before stays, and nothing is tombstoned for "
            "a day, unless the errors go away before; later runs count them in error_cells and are no longer partial "
            "for them. Mend their formulas if they stay."
        )
    return None

"""Read a sheet as it was at one moment, though people edit it while it is read.

Drive is asked for the version again after the read. If the file was edited meanwhile, the sheet is read again; two
equal reads are accepted, since the edit was elsewhere in the file. A row that is not in the grid any more was deleted
by such an edit. The third read asks for all rows in one answer, however many there are by then, which is of one moment
by itself, so a sheet that is always being edited is loaded too.

The grid is larger than its used part. After an empty stretch of rows the next one is twice as long, so a tail of a
million empty rows costs ten requests.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b

import msgspec

from warehouse_pipelines.model.reading import ReadContext
from warehouse_pipelines.sources.gsheet.answers import Document, File, Values
from warehouse_pipelines.sources.gsheet.area import Area, area_of
from warehouse_pipelines.sources.gsheet.client import GridExceeded, GSheetClient

READS = 3


@dataclass(frozen=True)
class Snapshot:
    """The header's row, and stretches of rows by the number of their first, undecoded."""

    document: Document
    area: Area
    header: bytes
    stretches: Sequence[tuple[int, bytes]]
    version: str


def take_snapshot(context: ReadContext, client: GSheetClient, asked: str, before: File, size: int) -> Snapshot:
    """Return the sheet of the range ``asked``, read by stretches of ``size`` rows.

    ``before`` is the version of the file before the first read. Raises ``GridExceeded`` where the third read finds no
    header.
    """
    former: tuple[Area, bytes] | None = None
    for attempt in range(1, READS + 1):
        at_once = attempt == READS
        spreadsheet = client.spreadsheet()
        area = area_of(spreadsheet, asked)
        try:
            if at_once:
                header, stretches = _at_once(client, area)
            else:
                header = client.values(area, area.top, area.top)
                stretches = list(_stretches(client, area, max(1, size)))
        except GridExceeded:
            if at_once:
                raise
            former, before = None, client.version()
            continue
        snapshot = Snapshot(spreadsheet.properties, area, header, stretches, before.version)
        after = client.version()
        if at_once or after.version == before.version:
            break
        digest = blake2b(header)
        for _, stretch in stretches:
            digest.update(stretch)
        if former == (area, digest.digest()):
            break
        former, before = (area, digest.digest()), after
    if attempt > 1:
        context.note(edited_during_reads=attempt - 1)
    return snapshot


def _stretches(client: GSheetClient, area: Area, size: int) -> Iterator[tuple[int, bytes]]:
    """Yield the rows below the header undecoded: the sheet is complete before its first row is loaded."""
    first, length = area.top + 1, size
    while first <= area.bottom:
        last = min(first + length - 1, area.bottom)
        raw = client.values(area, first, last)
        if msgspec.json.decode(raw, type=Values).values:
            yield first, raw
            length = size
        else:
            length *= 2
        first = last + 1


def _at_once(client: GSheetClient, area: Area) -> tuple[bytes, list[tuple[int, bytes]]]:
    """Return header and rows of one answer."""
    answer = msgspec.json.decode(client.values(area, area.top, None if area.open else area.bottom), type=Values)
    header, rows = answer.values[:1], answer.values[1:]
    return (
        msgspec.json.encode(Values(answer.range, header)),
        [(area.top + 1, msgspec.json.encode(Values(answer.range, rows)))],
    )

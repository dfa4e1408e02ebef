"""Read a set of MarketSharp, and ``data``, the inquiry with what it refers to.

**``data``** is read by ``$expand``: one request for a page of all four. The alternatives are the same joins by hand: a
view over the loaded tables would need five of them on schedule; looking up contacts by key takes some thirty to a
request. An edited contact moves its own lastUpdate and not the inquiry's, so a delta also asks for the inquiries whose
``Contact/lastUpdate`` is in the window. A phone or an address has none, and arrives with the daily full read. Names of
statuses are looked up, since no client is known to have expanded them.

What this account or this version of the service lacks costs its own columns and no record: a set of statuses that
answers 404, a navigation that is refused with 400 or not expanded. The notes of the history row name it. Values that
these columns have are kept, and the run in which that begins is partial (``ReadContext.mark_absent``).

Verified against the simulator and recorded answers; no live account has been read yet.
"""

from datetime import timedelta

from warehouse_pipelines.errors import RequestRefused
from warehouse_pipelines.model.entity import Entity
from warehouse_pipelines.model.reading import Page, Pages, ReadContext, ReadReport, ReadRequest
from warehouse_pipelines.sources.marketsharp.atom import Entry
from warehouse_pipelines.sources.marketsharp.client import MarketSharpClient
from warehouse_pipelines.sources.marketsharp.reader import MarketSharpReader, note_absent
from warehouse_pipelines.sources.marketsharp.records import Flattener, Recorder
from warehouse_pipelines.sources.marketsharp.settings import Settings

OVERLAP = timedelta(hours=6)
"""The zone in which the service reads the literals of a filter is unconfirmed; its zones lie within six hours."""


def window_of(request: ReadRequest, settings: Settings) -> str:
    """Return the filter of the window; a backfill's is wider by the overlap on both sides, which the loader cuts."""
    since, until = request.since, request.window.until
    if not request.options.get("backfill"):
        return f"lastUpdate ge {settings.literal(since)}"
    return f"lastUpdate ge {settings.literal(since - OVERLAP)} and lastUpdate lt {settings.literal(until + OVERLAP)}"


def read(request: ReadRequest, context: ReadContext, statuses: Entity) -> Pages:
    """Yield the records of one set; ``statuses`` is the entity of inquiry statuses."""
    entity = request.entity
    client = MarketSharpClient(context)
    recorder = Recorder(entity, client.settings.time_zone)
    flattener = Flattener(client, request, statuses) if "$expand" in entity.path else None

    def record(entry: Entry) -> bytes:
        return recorder.record(flattener.flat(entry) if flattener else entry.properties or {})

    by_time = bool(entity.cursor) and not request.full
    base = window_of(request, client.settings) if by_time else ""
    readers = [MarketSharpReader(client, request, base=base, by_time=by_time)]
    for entries in readers[0].pages():
        yield Page(list(map(record, entries)))
    if flattener and by_time and not request.options.get("backfill"):
        of_contact = f"Contact/lastUpdate ge {client.settings.literal(request.since)}"
        readers.append(MarketSharpReader(client, request, base=of_contact))
        try:
            for entries in readers[1].pages():
                yield Page(list(map(record, entries)), in_window=False)
        except RequestRefused as refused:
            if refused.status != 400:
                raise
            note_absent(context, entity, "filter by Contact/lastUpdate")
    statuses_unproven = flattener.unproven if flattener else None
    return ReadReport(unproven=next(filter(None, [statuses_unproven, *(one.unproven for one in readers)]), None))

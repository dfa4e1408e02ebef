"""Read a set of MarketSharp, and ``data``, the inquiry with what it refers to.

**``data``** is read by ``$expand``: one request for a page of all four. The alternatives are the same joins by hand: a
view over the loaded tables would need five of them on schedule; looking up contacts by key takes some thirty to a
request. An edited contact moves its own lastUpdate and not the inquiry's, so a delta also asks for the inquiries whose
``Contact/lastUpdate`` is in the window. A phone or an address has none, and arrives with the daily full read. Names of
statuses are looked up, since no client is known to have expanded them.

What this account or this version of the service lacks costs its own columns and no record: a set of statuses that
answers 404, a navigation that is refused with 400 or not expanded. ``noticed`` of the history row names it. Values that
these columns have are kept, and the run in which that begins is partial (``Extraction.absent``).

Verified against the simulator and recorded answers; no live account has been read yet.
"""

from collections.abc import Iterator
from datetime import timedelta

from warehouse_pipelines.errors import RequestRefused
from warehouse_pipelines.model.entity import Entity
from warehouse_pipelines.model.reading import Extraction, Page
from warehouse_pipelines.sources.marketsharp.atom import Entry
from warehouse_pipelines.sources.marketsharp.client import MarketSharpClient
from warehouse_pipelines.sources.marketsharp.reader import MarketSharpReader, note_absent
from warehouse_pipelines.sources.marketsharp.records import Flattener, Recorder
from warehouse_pipelines.sources.marketsharp.settings import Settings

OVERLAP = timedelta(hours=6)
"""The zone in which the service reads the literals of a filter is unconfirmed; its zones lie within six hours."""


def window_of(extraction: Extraction, settings: Settings) -> str:
    """Return the filter of the window; a backfill's is wider by the overlap on both sides, which the loader cuts."""
    since, until = extraction.since, extraction.window.until
    if not extraction.options.get("backfill"):
        return f"lastUpdate ge {settings.literal(since)}"
    return f"lastUpdate ge {settings.literal(since - OVERLAP)} and lastUpdate lt {settings.literal(until + OVERLAP)}"


def read(extraction: Extraction, statuses: Entity) -> Iterator[Page]:
    """Yield the records of one set; ``statuses`` is the entity of inquiry statuses."""
    entity = extraction.entity
    client = MarketSharpClient(extraction)
    recorder = Recorder(entity, client.settings.time_zone)
    flattener = Flattener(client, statuses) if "$expand" in entity.path else None

    def record(entry: Entry) -> bytes:
        return recorder.record(flattener.flat(entry) if flattener else entry.properties or {})

    by_time = bool(entity.cursor) and not extraction.whole
    base = window_of(extraction, client.settings) if by_time else ""
    for entries in MarketSharpReader(client, entity, base=base, by_time=by_time).pages():
        yield Page(list(map(record, entries)))
    if flattener and by_time and not extraction.options.get("backfill"):
        of_contact = f"Contact/lastUpdate ge {client.settings.literal(extraction.since)}"
        try:
            for entries in MarketSharpReader(client, entity, base=of_contact).pages():
                yield Page(list(map(record, entries)), in_window=False)
        except RequestRefused as refused:
            if refused.status != 400:
                raise
            note_absent(extraction, "filter by Contact/lastUpdate")

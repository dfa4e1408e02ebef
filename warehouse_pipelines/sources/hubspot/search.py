"""Find the ids that changed in a window, past the search's limit of 10,000 hits.

**By id** comes first: ``hs_object_id`` above the last one, the window frozen, no offset. It has no limit, ten thousand
records in one millisecond do not stop it, and an edit during the walk moves no other record over the edge of a page:
the edited one leaves the window and belongs to the next. A long window is walked **from both ends** side by side, up
from the smallest id and down from the greatest, each asking for what lies between both. All is found when one of them
is shown the last page of what lies between, or a page with records that the other has met.

That rests on the vendor sorting and comparing ids as numbers, which is unconfirmed. So every id must lie beyond the one
before, the ends must meet at the same records, and when fewer came than the search first counted, it is asked once more
how many there are. If a check fails, the window is read again **by offset**: halved until the search counts less than
10,000, down to one millisecond; a millisecond that still has more is walked up by id, in the order of the vendor.

An edit during a walk by offset takes a record out of the window, and those behind it move up: one may pass over the
edge of a page unseen. So each page begins with the last record of the page before. While the order stands still, a
page that begins with a record that was met hides nothing, and before another one the walk goes back. Where that cannot
be done, the part is walked until a walk finds nothing new; one that goes on moving is ``unproven``.

The search's ``total`` may start that second read. It is never taken as a proof that all was read.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from warehouse_pipelines.errors import CursorStuck, RequestRefused, SuspiciousRead
from warehouse_pipelines.sources._in_flight import InFlight
from warehouse_pipelines.sources.hubspot.answers import Found
from warehouse_pipelines.sources.hubspot.client import OBJECTS
from warehouse_pipelines.sources.hubspot.reader import EMPTY_PAGES, HubSpotReader

FOUND = 200  # most hits of one search page
LIMIT = 10_000  # a search never returns hits beyond it
WALKS = 5
"""Walks by offset through one part, before it is given up to prove that nothing was hidden."""

STEPS_BACK = 20
"""How often one walk by offset goes back."""

MORE_OVERLAP = 20
"""Records that pages share once the walk went back: so many may leave the window between two pages."""

BOTH_ENDS_FROM = 3 * FOUND
"""Hits from which a window is walked from both ends, so that neither is asked in vain."""


class OutOfOrder(Exception):
    """Raised when the walk by id cannot be trusted in this window."""


@dataclass
class _End:
    """A walk by id from one end of the window: ``last`` is the id that it has come to.

    ``after`` goes on behind a page without hits, of which there were ``empty`` in a row.
    """

    descending: bool = False
    last: int | None = None
    after: str | None = None
    empty: int = 0

    def take(self, ids: list[int]) -> None:
        """Move on over the ids of a page. Raises ``OutOfOrder`` if one does not lie beyond the one before."""
        for key in ids:
            if self.last is not None and (key >= self.last if self.descending else key <= self.last):
                raise OutOfOrder
            self.last = key

    def follow(self, page: Found, object_type: str) -> None:
        """Go on after a page that is not the last one. Raises ``CursorStuck`` for empty pages without an end."""
        if page.results:
            self.after, self.empty = None, 0
            return
        # An empty page with a next one is no end; asking beyond the same id again would not advance.
        self.empty += 1
        if self.empty > EMPTY_PAGES or page.after == self.after:
            raise CursorStuck(f"HubSpot: the search of {object_type} answers empty pages without an end")
        self.after = page.after


class HubSpotSearch:
    """Search one object type by its modified time.

    ``counted`` is what the search first counted, if it can be told; ``unproven`` is why ids of the window may be
    missing.
    """

    def __init__(self, reader: HubSpotReader) -> None:
        entity = reader.entity
        self.context, self.client, self.object_type = reader.context, reader.client, reader.object_type
        self.most = reader.most
        self.counted: int | None = None
        self.unproven: str | None = None
        self.modified = entity.columns[entity.cursor].path.rpartition(".")[2] if entity.cursor else ""
        self.budget = reader.searches
        self._path = f"{OBJECTS}/{self.object_type}/search"

    def changed(self, begin: datetime, end: datetime) -> Iterator[str]:
        """Yield the ids that changed in the window, each once."""
        since, until = milliseconds(begin), milliseconds(end)
        given: set[int] = set()
        try:
            yield from self._by_id(since, until, given)
        except OutOfOrder:
            self.context.note(search_read_again_by_windows=True)
            for key in self._by_offset(since, until):
                if int(key) not in given:
                    given.add(int(key))
                    yield key

    def _search(
        self,
        since: int,
        until: int,
        *,
        above: int | None = None,
        below: int | None = None,
        descending: bool = False,
        after: str | None = None,
        limit: int = FOUND,
    ) -> Found:
        """Ask for ids whose modified time, in milliseconds, lies in the window, both ends included."""
        filters = [
            {"propertyName": self.modified, "operator": "GTE", "value": str(since)},
            {"propertyName": self.modified, "operator": "LTE", "value": str(until)},
        ]
        for operator, bound in (("GT", above), ("LT", below)):
            if bound is not None:
                filters.append({"propertyName": "hs_object_id", "operator": operator, "value": str(bound)})
        direction = "DESCENDING" if descending else "ASCENDING"
        body: dict[str, Any] = {
            "filterGroups": [{"filters": filters}],
            "sorts": [{"propertyName": "hs_object_id", "direction": direction}],
            "properties": ["hs_object_id"],
            "limit": limit,
        }
        if after is not None:
            body["after"] = after
        return self.client.post(self._path, Found, body=body, budgets=(self.budget,))

    def _by_id(self, since: int, until: int, given: set[int]) -> Iterator[str]:
        """Yield the window's ids, each once, and add them to ``given``; see ``OutOfOrder``."""
        up, down = _End(), _End(descending=True)
        flight = InFlight[_End, Found](self.context, self.most)
        idle = [up]
        counted: int | None = None

        def send() -> None:
            while idle and flight.free():
                if flight and self.counted is not None and self.counted <= len(given) + FOUND * len(flight):
                    return  # what is in flight may find all that is left
                end = idle.pop(0)
                search = partial(self._search, since, until, above=up.last, below=down.last)
                flight.ask(end, partial(search, descending=end.descending, after=end.after))

        while True:
            send()
            end, page = flight.answer()
            ids = [int(hit.id) for hit in page.page(self._path, first=counted is None)]
            end.take(ids)
            fresh = [key for key in ids if key not in given]
            if counted is None:
                counted = page.total
                self.counted = counted if counted < LIMIT else None
                if counted >= BOTH_ENDS_FROM and self.most != 1:
                    idle.append(down)
            met = _met(up, down, shared=len(fresh) < len(ids))
            given.update(fresh)
            found = map(str, fresh)
            if page.after is None or met:
                yield from found
                break
            end.follow(page, self.object_type)
            idle.append(end)
            if self.most != 1:
                send()  # while the records of these are read
            yield from found
        if len(given) < counted and self._search(since, until, limit=1).total > len(given):
            raise OutOfOrder

    def _in_any_order(self, at: int) -> Iterator[str]:
        """Yield the ids of one millisecond, each request asking for those above the last one, as the vendor sorts."""
        walk = _End()
        seen: set[str] = set()
        counted: int | None = None
        while True:
            page = self._search(at, at, above=walk.last, after=walk.after)
            hits = page.page(self._path, first=counted is None)
            counted = page.total if counted is None else counted
            for hit in hits:
                if hit.id in seen:
                    raise CursorStuck(f"HubSpot: the search of {self.object_type} found one record twice in one walk")
                seen.add(hit.id)
                walk.last = int(hit.id)
                yield hit.id
            if page.after is None:
                break
            walk.follow(page, self.object_type)
        if len(seen) < counted and self._search(at, at, limit=1).total > len(seen):
            raise SuspiciousRead(
                f"HubSpot: the search of {self.object_type} counts more records in one millisecond than can be walked; "
                "read everything once (--full)."
            )

    def _by_offset(self, since: int, until: int) -> Iterator[str]:
        """Yield the window's ids by offset, in parts below the limit of the search."""
        page = self._search(since, until)
        if page.total >= LIMIT:
            if since == until:
                yield from self._in_any_order(since)
                return
            middle = (since + until) // 2
            yield from self._by_offset(since, middle)
            yield from self._by_offset(middle + 1, until)
            return
        yield from self._until_nothing_hides(since, until, page)

    def _until_nothing_hides(self, since: int, until: int, first: Found) -> Iterator[str]:
        """Yield the ids of a part by offset, each once, walking it until nothing can have been hidden."""
        given: set[str] = set()
        walk = _Offsets(self, since, until, first)
        for number in range(WALKS):
            before = len(given)
            for ids in walk.pages():
                fresh = [key for key in ids if key not in given]
                given.update(fresh)
                yield from fresh
            if walk.joined or (number and len(given) == before):
                return
            walk = _Offsets(self, since, until, self._search(since, until))
        self.unproven = (
            f"HubSpot: {self.object_type} were edited all the time while the search was paged through, so a change may "
            "have been passed over. What was read is loaded, the watermark stays, and the next run reads from there."
        )


class _Offsets:
    """A walk by offset through one part; ``joined`` says whether no page can have hidden a record.

    While each page begins with a record that was met, nothing lies between it and the page before. Where one does not,
    the walk goes back by a page, and has pages overlap by more from then on.
    """

    def __init__(self, search: HubSpotSearch, since: int, until: int, first: Found) -> None:
        self.joined = True
        self._ask = partial(search._search, since, until)
        self._page, self._object_type = first, search.object_type
        self._offset, self._limit, self._overlap = 0, FOUND, 1
        self._back = 0

    def pages(self) -> Iterator[list[str]]:
        """Yield the ids of each page."""
        met: set[str] = set()
        overlaps = False
        while True:
            ids = [hit.id for hit in self._page.page("search", first=not self._offset)]
            yield ids
            hides = bool(self._offset and met) and not (ids and ids[0] in met)
            if hides and overlaps and self._back < STEPS_BACK:
                self._back += 1
                self._overlap = MORE_OVERLAP
                self._go(max(0, self._offset - FOUND + MORE_OVERLAP))
                continue
            self.joined = self.joined and not hides
            met.update(ids)
            if self._page.after is None:
                return
            overlaps = self._go_on(len(ids))

    def _go_on(self, hits: int) -> bool:
        """Ask for the next page; return whether it begins within this one. Raises ``CursorStuck``."""
        following = int(self._page.after or 0)
        if not self._offset < following < LIMIT:
            raise CursorStuck(
                f"HubSpot: the search of {self._object_type} goes from offset {self._offset} to {following}"
            )
        # Of a short page it is unknown how many records its offset stands for.
        if hits == self._limit and following - self._overlap > self._offset:
            try:
                self._go(following - self._overlap)
            except RequestRefused as refused:
                if refused.status != 400:
                    raise
            else:
                return True
        self._go(following)
        return False

    def _go(self, offset: int) -> None:
        limit = min(FOUND, LIMIT - offset)
        self._page = self._ask(after=str(offset), limit=limit)
        self._offset, self._limit = offset, limit


def _met(up: _End, down: _End, *, shared: bool) -> bool:
    """Return whether nothing lies between both ends. Raises ``OutOfOrder`` if they passed each other unseen."""
    if up.last is None or down.last is None or down.last - up.last > 1:
        return False
    if up.last >= down.last and not shared:
        raise OutOfOrder
    return True


def milliseconds(at: datetime) -> int:
    """Return the whole milliseconds since 1970, which the search compares; the loader cuts at the exact ends."""
    return (at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)

"""Find the ids that changed in a window, past the search's limit of 10,000 hits.

**By id** comes first: ``hs_object_id`` above the last one, the window frozen, no offset. It has no limit, ten thousand
records in one millisecond do not stop it, and an edit during the walk moves no other record over the edge of a page:
the edited one leaves the window and belongs to the next.

That rests on the vendor sorting and comparing ids as numbers, which is unconfirmed. So every id must be larger than
the one before, and when fewer came than the search first counted, it is asked once more how many there are. If either
check fails, the window is read again **by offset**: halved until the search counts less than 10,000, down to one
millisecond; a millisecond that still has more is walked by id, in the order of the vendor.

The search's ``total`` may start that second read. It is never taken as a proof that all was read.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from warehouse_pipelines.errors import CursorStuck, SuspiciousRead
from warehouse_pipelines.model.reading import Budget
from warehouse_pipelines.sources.hubspot.answers import Found
from warehouse_pipelines.sources.hubspot.client import OBJECTS
from warehouse_pipelines.sources.hubspot.reader import EMPTY_PAGES, HubSpotReader

FOUND = 200  # most hits of one search page
LIMIT = 10_000  # a search never returns hits beyond it


class OutOfOrder(Exception):
    """Raised when the walk by id cannot be trusted in this window."""


class HubSpotSearch:
    """Search one object type by its modified time; ``counted`` is what the search first counted, if it can be told."""

    def __init__(self, reader: HubSpotReader) -> None:
        entity = reader.entity
        self.context, self.client, self.object_type = reader.context, reader.client, reader.object_type
        self.counted: int | None = None
        self.modified = entity.columns[entity.cursor].path.rpartition(".")[2] if entity.cursor else ""
        self.budget = Budget("search", reader.settings.searches_per_second, 1)

    def changed(self, begin: datetime, end: datetime) -> Iterator[str]:
        """Yield the ids that changed in the window, each once."""
        since, until = milliseconds(begin), milliseconds(end)
        given: set[int] = set()
        try:
            for key in self._by_id(since, until, numeric=True):
                given.add(int(key))
                yield key
        except OutOfOrder:
            self.context.note(search_read_again_by_windows=True)
            for key in self._by_offset(since, until):
                if int(key) not in given:
                    given.add(int(key))
                    yield key

    def _search(
        self, since: int, until: int, *, above: str | None = None, after: str | None = None, limit: int = FOUND
    ) -> Found:
        """Ask for ids whose modified time, in milliseconds, lies in the window, both ends included."""
        filters = [
            {"propertyName": self.modified, "operator": "GTE", "value": str(since)},
            {"propertyName": self.modified, "operator": "LTE", "value": str(until)},
        ]
        if above is not None:
            filters.append({"propertyName": "hs_object_id", "operator": "GT", "value": above})
        body: dict[str, Any] = {
            "filterGroups": [{"filters": filters}],
            "sorts": [{"propertyName": "hs_object_id", "direction": "ASCENDING"}],
            "properties": ["hs_object_id"],
            "limit": limit,
        }
        if after is not None:
            body["after"] = after
        return self.client.post(f"{OBJECTS}/{self.object_type}/search", Found, body=body, budgets=(self.budget,))

    def _by_id(self, since: int, until: int, *, numeric: bool) -> Iterator[str]:
        """Yield the window's ids, each request asking for those above the last; see ``OutOfOrder``.

        Without ``numeric`` any order is accepted, and only a repeated id is an error.
        """
        last: str | None = None
        after: str | None = None
        counted: int | None = None
        given, empty = 0, 0
        seen: set[str] = set()
        path = f"{OBJECTS}/{self.object_type}/search"
        while True:
            page = self._search(since, until, above=last, after=after)
            hits = page.page(path, first=counted is None)
            if counted is None:
                counted = page.total
                if numeric and counted < LIMIT:
                    self.counted = counted
            for hit in hits:
                if numeric and last is not None and int(hit.id) <= int(last):
                    raise OutOfOrder
                if not numeric:
                    if hit.id in seen:
                        raise CursorStuck(
                            f"HubSpot: the search of {self.object_type} found one record twice in one walk"
                        )
                    seen.add(hit.id)
                last = hit.id
                given += 1
                yield hit.id
            if page.after is None:
                break
            if hits:
                after, empty = None, 0
                continue
            # An empty page with a next one is no end; asking above the same id again would not advance.
            empty += 1
            if empty > EMPTY_PAGES or page.after == after:
                raise CursorStuck(f"HubSpot: the search of {self.object_type} answers empty pages without an end")
            after = page.after
        if given < counted and self._search(since, until, limit=1).total > given:
            if numeric:
                raise OutOfOrder
            raise SuspiciousRead(
                f"HubSpot: the search of {self.object_type} counts more records in one millisecond than can be walked; "
                "read everything once (--full)."
            )

    def _by_offset(self, since: int, until: int) -> Iterator[str]:
        """Yield the window's ids by offset, in parts below the limit of the search."""
        page = self._search(since, until)
        if page.total >= LIMIT:
            if since == until:
                yield from self._by_id(since, until, numeric=False)
                return
            middle = (since + until) // 2
            yield from self._by_offset(since, middle)
            yield from self._by_offset(middle + 1, until)
            return
        offset = 0
        while True:
            yield from (hit.id for hit in page.page("search", first=not offset))
            if page.after is None:
                return
            if not offset < int(page.after) <= LIMIT - FOUND:
                raise CursorStuck(
                    f"HubSpot: the search of {self.object_type} goes from offset {offset} to {page.after}"
                )
            offset = int(page.after)
            page = self._search(since, until, after=page.after)


def milliseconds(at: datetime) -> int:
    """Return the whole milliseconds since 1970, which the search compares; the loader cuts at the exact ends."""
    return (at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)

"""Read the lists of one entity of Arrivy, page by page.

Lists are bare arrays without a count, so a list is read until a page is empty. A delete or a new schedule during the
read shifts records to a page that was read already. Pages are therefore asked for in the order of creation, records are
merged by id, and a full read that did not meet a row of the warehouse reads the lists once more before the row counts
as deleted. A delta that misses a record in this way meets it an hour later.

Unconfirmed, each a setting of the simulator; the notes of the history row show the last three:

- ``/entities``, ``/statuses`` and ``/templates`` are said to answer at once. The second page is asked for all the same:
  empty, or equal to the first, is the end.
- Whether a query ends after a thousand records or so, as one client suspects. A round number of them, a thousand or
  more, is read again in halves of its time; among the unscheduled it is only noted.
- Whether ``unscheduled=true`` shows scheduled records too: then a delta reads everything.
- The ``status`` filter, and the spelling of statuses: records of another status are left out here.
"""

import itertools
import logging
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from warehouse_pipelines.errors import CursorStuck, RequestRefused
from warehouse_pipelines.model.reading import Page, ReadContext, ReadRequest, Window
from warehouse_pipelines.sources._in_flight import in_order
from warehouse_pipelines.sources._json import key_of
from warehouse_pipelines.sources.arrivy.client import client
from warehouse_pipelines.sources.arrivy.entities import BOOKINGS, PAGED, TASKS

log = logging.getLogger("warehouse.ingestion")

AT_ONCE = 4
"""Requests in flight with ``--high-performance``."""

CUT_FROM = 1_000
"""A query that ends after a multiple of a hundred records, and at least so many, may have been cut."""

BEGINNING = datetime(2010, 1, 1, tzinfo=UTC)

END = timedelta(days=3_650)
"""A full read names its bounds too, so that no default of the vendor applies: before the company was founded, and ten
years from now."""

PAST, FAR = datetime(1900, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, tzinfo=UTC)
"""Begin and end of a full read: programs write such dates for an unknown time. What lies before ``BEGINNING`` or beyond
ten years is asked for apart, so that a vendor that refuses such a bound does not fail the rest."""

WITHOUT_TIME = ("unscheduled", "tasks_with_no_datetime")


class Scheduled(msgspec.Struct):
    """The members of a task or a booking that the read itself needs."""

    status: Any = None
    start_datetime: Any = None


class ArrivyReader:
    """Read one entity. ``seen`` has a hash of each record by its key."""

    def __init__(self, request: ReadRequest, context: ReadContext) -> None:
        self.request, self.context = request, context
        self.entity = request.entity
        options = request.options
        self.status = options.get("booking_status") or options.get("task_status")
        self.at_once = options.get("concurrent_pages") or (AT_ONCE if options.get("high_performance") else 1)
        context.pace.begin_with(self.at_once)
        self.seen: dict[str, int] = {}
        self._http = client(context)
        self._size = str(min(request.page_size, TASKS.page_size or request.page_size))
        self._decode = msgspec.json.Decoder(Scheduled).decode
        self._left_out: Counter[str] = Counter()
        self._answered = 0
        self._refused: dict[str, Window] = {}

    def pages(self) -> Iterator[Page]:
        """Yield the records, each once unless it changed meanwhile."""
        yield from self._lists()
        if self.request.full and not self.status and self.entity.path in PAGED and self._missed():
            yield from self._lists()
        if self._left_out:
            self.context.note(other_statuses=dict(self._left_out))

    def _missed(self) -> bool:
        missed = sum(key not in self.seen for key in self.context.known.keys(self.entity.table))
        if missed:
            self.context.note(walked_again=f"{missed} known {self.entity.name} were not met at first")
        return missed > 0

    def _lists(self) -> Iterator[Page]:
        if not self.entity.cursor:
            yield from map(Page, self._walk({}))
            return
        window = self.request.window
        until = max(window.until, datetime.now(UTC) + END) if self.request.full else window.until
        yield from map(Page, self._scheduled(window.since or BEGINNING, until))
        if self.request.full:
            yield from self._apart("distant_past", PAST, BEGINNING)
            yield from self._apart("far_future", until, FAR)
        if self.request.options.get("backfill"):
            return
        for without_time in WITHOUT_TIME:
            for records in self._walk({without_time: "true"}):
                self._note_scheduled(records)
                yield Page(records, in_window=False)
            if self._looks_cut():
                self.context.note(**{f"round_{without_time}": self._answered})

    def _apart(self, stretch: str, since: datetime, until: datetime) -> Iterator[Page]:
        """Yield the records of a stretch whose bounds the vendor may refuse; note that it did."""
        try:
            yield from map(Page, self._scheduled(since, until))
        except RequestRefused as refused:
            self._refused[stretch] = Window(since, until)
            self.context.note(**{stretch: f"refused with {refused.status}"})
            log.warning("Arrivy does not say what is scheduled from %s to %s: %s", since.date(), until.date(), refused)

    def unproven(self) -> str | None:
        """Return why rows cannot be told from deleted ones: they lie in a stretch that was refused."""
        for window in self._refused.values():
            hidden = sum(key not in self.seen for key, *_ in self.context.known.keys_in(self.entity, window))
            if hidden:
                return (
                    f"Arrivy refuses to say what is scheduled from {window.since:%Y} to {window.until:%Y}, where "
                    f"{hidden} rows of {self.entity.table} were not met; nothing was tombstoned"
                )
        return None

    def _scheduled(self, since: datetime, until: datetime) -> Iterator[list[bytes]]:
        """Yield the records scheduled between two times, both included."""
        # Whole seconds outside of the window; the loader cuts at the exact ends.
        low, high = (at.astimezone(UTC).isoformat(timespec="seconds") for at in (since, until + timedelta(seconds=1)))
        params = {"from": low, "to": high}
        if self.entity.path == BOOKINGS.path:
            params |= {"start_date": low.replace("+00:00", "Z"), "end_date": high.replace("+00:00", "Z")}
        yield from self._walk(params)
        if self._looks_cut() and until - since > timedelta(hours=1):
            middle = since + (until - since) / 2
            yield from self._scheduled(since, middle)
            yield from self._scheduled(middle, until)

    def _looks_cut(self) -> bool:
        return self._answered >= CUT_FROM and self._answered % 100 == 0

    def _walk(self, params: Mapping[str, str]) -> Iterator[list[bytes]]:
        """Yield the pages of one list until one is empty, without records that came before."""
        entity = self.entity
        asked = {"items_per_page": self._size, "order_by": "CREATED", **params}
        if self.status:
            asked["status"] = self.status

        def ask(number: int) -> list[msgspec.Raw]:
            return self._http.get(f"/api/{entity.path}", list[msgspec.Raw], params={"page": str(number), **asked})

        met: set[tuple[str | None, ...]] = set()
        self._answered = 0
        pages = in_order(self.context, ask, itertools.count(1), self.at_once)
        try:
            for records in pages:
                keys = tuple(map(key_of, records))
                if not records or (keys in met and entity.path not in PAGED):
                    return
                if keys in met:
                    raise CursorStuck(
                        f"Arrivy: {entity.path} answered the same page twice; reading on would never end."
                    )
                met.add(keys)
                self._answered += len(records)
                if fresh := [
                    bytes(record) for key, record in zip(keys, records, strict=True) if self._new(key, record)
                ]:
                    yield fresh
        finally:
            pages.close()

    def _new(self, key: str | None, record: msgspec.Raw) -> bool:
        """Return whether the record has the asked status, and is new or changed."""
        shape = hash(bytes(record))
        key = key or f"without a key {shape}"
        if self.seen.get(key) == shape:
            return False
        self.seen[key] = shape
        if not self.status:
            return True
        try:
            status = str(self._decode(record).status)
        except msgspec.DecodeError:
            return True
        wanted: bool = status.casefold() == self.status.casefold()
        self._left_out[status] += not wanted
        return wanted

    def _note_scheduled(self, records: list[bytes]) -> None:
        """Count scheduled records in a list of unscheduled ones."""
        for record in records:
            try:
                scheduled = bool(self._decode(record).start_datetime)
            except msgspec.DecodeError:
                continue
            if scheduled:
                self.context.count("scheduled_among_unscheduled")

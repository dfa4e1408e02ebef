"""Read a long list in several key ranges at once, where the list's cursor is a key that a client may invent.

The list is first read page by page. Once it is known to be long, a walk is split: a second walk starts at an invented
key further on. Nothing is taken on trust:

- Keys must rise within each page and from page to page.
- A walk ends only after it has read past the first page of the next walk and met its records. So every stretch is
  covered by the vendor's own cursors; an invented cursor only says where to start.
- The read is complete when one walk is left and it has reached the vendor's end of the list.

If a key is not a number, a page is out of order or ranges do not meet, ranges are given up: the list is read page by
page (``alone``) from where the first walk stands, and records that are read twice are merged by key. An invented cursor
that is refused or finds nothing new costs one request and no record.

A split costs two requests. So there is at most one split per ``PAGES_OF_A_SPLIT`` expected pages, and none in a list of
``FIRST_PAGES``.
"""

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Generic, NamedTuple, TypeVar

from warehouse_pipelines.errors import RequestRefused
from warehouse_pipelines.model.pace import MOST
from warehouse_pipelines.model.reading import ReadContext
from warehouse_pipelines.sources._in_flight import InFlight

T = TypeVar("T")

FIRST_PAGES = 20
PAGES_OF_A_SPLIT = 150

WORTH_A_SPLIT = 8
"""Pages that a walk seems to have before it, so that both halves are worth the request."""

FRUITLESS = 5
"""Splits that found nothing new, after which no other is tried."""

SPREAD = 16
"""If the upper key is more than this many times the lower one, split on a logarithmic scale: ids grew by magnitudes."""


class KeyPage(NamedTuple, Generic[T]):
    """One page of the list: its records, their keys (None for one without), and the vendor's next cursor."""

    records: Sequence[T]
    keys: Sequence[str | None]
    after: str | None


@dataclass(eq=False)
class _Walk:
    """A stretch that is walked: ``cursor`` asked last, ``after`` to be asked next, None at the end of the list.

    ``begin`` is the key at which it was asked to begin, ``first`` are the keys of its first page, ``last`` the greatest
    so far, ``density`` how many records a key stands for. ``met`` says that it has shown a record of the next walk's
    first page.
    """

    begin: int
    cursor: str
    after: str | None
    asked: bool = False
    first: frozenset[int] = frozenset()
    last: int = -1
    density: float = 0.0
    met: bool = False

    def move(self, after: str | None, keys: Sequence[int]) -> None:
        """Move behind a page of these keys."""
        self.after = after
        if keys:
            self.first = self.first or frozenset(keys)
            self.last, self.density = keys[-1], len(keys) / (keys[-1] - keys[0] + 1)


class _NoRanges(Exception):
    """The list is not as ranges need it."""


class KeyRanges(Generic[T]):
    """One list.

    ``ask``      returns the page at a cursor
    ``alone``    yields the pages from a cursor on, one after another; None starts at the beginning
    ``highest``  returns about the greatest key of the list, None if that cannot be told; called once, for a long list
    """

    def __init__(
        self,
        context: ReadContext,
        ask: Callable[[str], KeyPage[T]],
        alone: Callable[[str | None], Iterator[KeyPage[T]]],
        highest: Callable[[], int | None],
    ) -> None:
        self._ask, self._alone, self._highest = ask, alone, highest
        self._context = context
        self._flight = InFlight[_Walk, KeyPage[T] | None](context)
        self._walks: list[_Walk] = []
        self._end: int | None = None
        self._read = self._size = 0
        self._splits = self._fruitless = 0

    def pages(self) -> Iterator[Sequence[T]]:
        """Yield the records of each page, each record once unless the ranges had to be given up."""
        for page in self._alone(None):
            yield page.records
            self._read += 1
            keys = _numbers(page)
            if self._read >= FIRST_PAGES and keys and page.after is not None:
                break
        else:
            return
        self._size = len(keys)
        self._walks = [_Walk(0, page.after, page.after)]
        self._walks[0].move(page.after, keys)
        try:
            yield from self._side_by_side()
        except _NoRanges:
            self._context.note(key_ranges_given_up=True)
            for page in self._alone(self._walks[0].cursor):
                yield page.records

    def _side_by_side(self) -> Iterator[Sequence[T]]:
        while True:
            self._send()
            if not self._flight:
                if len(self._walks) > 1:
                    raise _NoRanges
                return
            walk, page = self._flight.answer()
            walk.asked = False
            if walk in self._walks and (records := self._records(walk, page)):
                yield records

    def _send(self) -> None:
        """Ask for the next page of each walk, those in front first, and split where there is room for another."""
        for walk in self._walks:
            if self._flight.free() and not walk.asked and walk.after is not None:
                self._ask_for(walk, walk.after)
        while self._flight.free() and (new := self._split()):
            self._ask_for(new, new.cursor)

    def _ask_for(self, walk: _Walk, cursor: str) -> None:
        walk.cursor, walk.asked = cursor, True
        request = partial(self._ask, cursor)
        self._flight.ask(walk, request if walk.first else partial(_unless_refused, request))

    def _records(self, walk: _Walk, page: KeyPage[T] | None) -> Sequence[T]:
        """Return the records of a page that no other walk has shown; move the walk on, end it or take it out."""
        place = self._walks.index(walk)
        keys = _numbers(page)
        following = next((one for one in self._walks[place + 1 :] if one.first), None)
        if not walk.first:
            return self._first_records(walk, page, keys, following)
        if page is None or keys is None or (keys and keys[0] <= walk.last):
            raise _NoRanges
        self._read += 1
        walk.move(page.after, keys)
        if following is None:
            return page.records
        shown, most = following.first, max(following.first)
        walk.met |= not shown.isdisjoint(keys)
        if walk.met and walk.last >= most and following.after is None and following.last == most:
            # That the list ends there, only a cursor that was made up has said.
            del self._walks[place + 1 : self._walks.index(following) + 1]
            return [record for record, key in zip(page.records, keys, strict=True) if key not in shown]
        if walk.met and walk.last >= most:
            # From here on the following walk goes on for both, and for those between them that are not answered yet.
            following.begin, following.first = walk.begin, walk.first
            del self._walks[place : self._walks.index(following)]
        elif walk.after is None or walk.last > most:
            raise _NoRanges
        return [record for record, key in zip(page.records, keys, strict=True) if key not in shown and key <= most]

    def _first_records(
        self, walk: _Walk, page: KeyPage[T] | None, keys: list[int] | None, following: _Walk | None
    ) -> Sequence[T]:
        """Return the records of the page at a key that was made up; take the walk out if they are of other walks."""
        place = self._walks.index(walk)
        passed = max(one.last for one in self._walks[:place])
        if page is not None and keys and walk.begin <= keys[0] > passed:
            if following is None or keys[-1] < min(following.first):
                self._read += 1
                walk.move(page.after, keys)
                return page.records
            following.begin = min(following.begin, walk.begin)
        else:
            self._fruitless += 1
            if page is not None and not page.keys and walk is self._walks[-1]:
                self._end = walk.begin
        self._walks.remove(walk)
        return []

    def _split(self) -> _Walk | None:
        """Return a new walk for a part of what the walk with most before it has to read, if it is worth a request.

        The walk keeps as much as each of those would that may still be made.
        """
        if self._read < FIRST_PAGES or self._fruitless >= FRUITLESS:
            return None
        if self._end is None:
            self._end = self._highest() or 0
        before = [self._before(place) for place in range(len(self._walks))]
        most = max(before)
        left = 1 + int((self._read + sum(before)) / PAGES_OF_A_SPLIT) - self._splits
        if most < WORTH_A_SPLIT or left < 1:
            return None
        place = before.index(most)
        parts = 1 + max(1, min(left, MOST - len(self._walks)))
        begin = _between(self._walks[place].last, self._bound(place), 1 / parts)
        walk = _Walk(begin, str(begin), str(begin))
        self._walks.insert(place + 1, walk)
        self._splits += 1
        return walk

    def _bound(self, place: int) -> int:
        """Return the key at which a walk seems to end."""
        return self._walks[place + 1].begin if place + 1 < len(self._walks) else self._end or 0

    def _before(self, place: int) -> float:
        """Return how many pages a walk seems to have before it."""
        walk = self._walks[place]
        return 0.0 if walk.after is None else max(0.0, (self._bound(place) - walk.last) * walk.density / self._size)


def _numbers(page: KeyPage[T] | None) -> list[int] | None:
    """Return the keys of a page as numbers; None unless each is above the one before and the cursor goes on there."""
    if page is None or any(key is None or not key.isdecimal() for key in page.keys):
        return None
    keys = [int(key or 0) for key in page.keys]
    if any(later <= earlier for earlier, later in itertools.pairwise(keys)):
        return None
    if page.after is not None and not (keys and page.after.isdecimal() and int(page.after) >= keys[-1]):
        return None
    return keys


def _between(low: int, high: int, part: float) -> int:
    """Return the key that lies by this part of the way from one to another one."""
    if low > 0 and high > SPREAD * low:
        return int(low * (high / low) ** part)
    return low + int((high - low) * part)


def _unless_refused(request: Callable[[], KeyPage[T]]) -> KeyPage[T] | None:
    try:
        return request()
    except RequestRefused:
        return None

"""Rows in time without the rows: a base that is arithmetic, and what has been changed since.

The base is `count` numbers whose times grow with the number, so a window of time is a range of numbers, found by
bisection over a formula. Rows that were moved, hidden or added lie in two sorted lists beside it. A million rows that
nobody has touched therefore cost nothing, and a question about a window costs the same for a thousand and a million.
"""

from __future__ import annotations

import heapq
from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Iterator
from itertools import islice


class Timeline:
    def __init__(self, count: int, time_of: Callable[[int], int]) -> None:
        self.count = count
        self._time_of = time_of
        self._hidden: list[int] = []  # base numbers that no longer stand where the formula says
        self._moved: dict[int, int | None] = {}  # their time now, or None when they are not to be seen
        self._extra: list[tuple[int, int]] = []  # (time, number), sorted

    def place(self, number: int, time: int | None) -> None:
        """Put a number at a time, or out of sight."""
        if number in self._moved:
            previous = self._moved[number]
            if previous is not None:
                del self._extra[bisect_left(self._extra, (previous, number))]
        elif number < self.count:
            insort(self._hidden, number)
        self._moved[number] = time
        if time is not None:
            insort(self._extra, (time, number))

    def time_of(self, number: int) -> int | None:
        if number in self._moved:
            return self._moved[number]
        return self._time_of(number) if number < self.count else None

    def window(self, low: int | None, high: int | None) -> Window:
        """What lies between two times, both included; None is no limit."""
        base = range(self.count)
        start = 0 if low is None else bisect_left(base, low, key=self._time_of)
        stop = self.count if high is None else bisect_right(base, high, key=self._time_of)
        first = 0 if low is None else bisect_left(self._extra, (low, -1))
        last = len(self._extra) if high is None else bisect_left(self._extra, (high + 1, -1))
        return Window(self, range(start, max(start, stop)), self._extra[first:last])

    def hidden_in(self, base: range) -> list[int]:
        return self._hidden[bisect_left(self._hidden, base.start) : bisect_left(self._hidden, base.stop)]


class Window:
    """A stretch of a timeline: a range of the base less what is hidden, and the rows that were moved into it."""

    def __init__(self, timeline: Timeline, base: range, extra: list[tuple[int, int]]) -> None:
        self.timeline = timeline
        self.base = base
        self.extra = extra

    def narrowed(self, low: int, high: int) -> Window:
        """Only the numbers from `low` to `high`, both included."""
        start, stop = max(self.base.start, low), min(self.base.stop, high + 1)
        extra = [row for row in self.extra if low <= row[1] <= high]
        return Window(self.timeline, range(start, max(start, stop)), extra)

    def __len__(self) -> int:
        return len(self.base) - len(self.timeline.hidden_in(self.base)) + len(self.extra)

    def page(self, offset: int, limit: int, *, by_time: bool, descending: bool = False) -> list[int]:
        """The numbers from `offset` on, in order of time (ties by number) or in order of number."""
        hidden = self.timeline.hidden_in(self.base)
        if not self.extra and not hidden:
            base = self.base[::-1] if descending else self.base
            return list(base[offset : offset + limit])
        extra = [(time if by_time else number, number) for time, number in self.extra]
        extra.sort(reverse=descending)
        merged = heapq.merge(self._keyed_base(set(hidden), by_time, descending), extra, reverse=descending)
        return [number for _, number in islice(merged, offset, offset + limit)]

    def _keyed_base(self, hidden: set[int], by_time: bool, descending: bool) -> Iterator[tuple[int, int]]:
        time_of = self.timeline._time_of
        for number in reversed(self.base) if descending else self.base:
            if number not in hidden:
                yield (time_of(number) if by_time else number, number)

    def numbers(self) -> list[int]:
        hidden = set(self.timeline.hidden_in(self.base))
        return sorted([n for n in self.base if n not in hidden] + [number for _, number in self.extra])


def spread(count: int, start: int, end: int, chance_of: Callable[[int], int]) -> Callable[[int], int]:
    """A formula for times that grow: `count` equal slots from start to end, and a chance place within each."""

    def time_of(number: int) -> int:
        low = (end - start) * number // count
        width = (end - start) * (number + 1) // count - low
        chance = chance_of(number)
        time = start + low + (chance >> 8) % width if width else start + low
        # One row in fifty falls on a whole second, and is then written without a fraction.
        whole = time - time % 1000
        return whole if chance & 0xFF < 5 and whole >= start + low else time

    return time_of

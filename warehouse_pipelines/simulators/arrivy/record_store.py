"""Tasks or bookings with what has become of them, and the ids that Arrivy gives.

Ids are 64-bit integers, some above 2**53 and odd, so that a float would corrupt them.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from warehouse_pipelines.simulators.core import journey
from warehouse_pipelines.simulators.core.journey import Journeys
from warehouse_pipelines.simulators.core.timeline import Timeline, spread

_GOLDEN = 0x9E3779B97F4A7C15
_IDS = 1 << 52
_INVERSE = pow(_GOLDEN, -1, _IDS)
_LOWEST_ID = 5_000_000_000_000_000
SALTS = {name: place * 0x1D3F5A7 for place, name in enumerate(
    ("tasks", "bookings", "entities", "groups", "statuses", "templates", "customers"), start=1)}  # fmt: skip

HALF_HOUR_MS, HOUR_MS, DAY_MS = 1_800_000, 3_600_000, 86_400_000
SCHEDULED, UNSCHEDULED, NO_DATETIME = "scheduled", "unscheduled", "no_datetime"


def id_of(name: str, number: int) -> int:
    """The id of the `number`-th of a list, between 5.0 and 9.5 times 10**15."""
    return _LOWEST_ID + (number * _GOLDEN + SALTS[name]) % _IDS


def number_of(name: str, object_id: int) -> int:
    return (object_id - _LOWEST_ID - SALTS[name]) * _INVERSE % _IDS


class RecordStore:
    """Tasks or bookings: `count` with a time, and behind them some without; numbers grow as records are created."""

    def __init__(
        self, name: str, seed: int, count: int, now: int, way: Journeys, person_of: Callable[[int], int]
    ) -> None:
        self.name, self.seed = name, seed
        self.dated = count
        self.loose = {UNSCHEDULED: count // 20 + 1, NO_DATETIME: count // 40 + 1}
        self.count = count + sum(self.loose.values())
        self.added = 0
        self.deleted: set[int] = set()
        self.changes: dict[int, dict[str, Any]] = {}
        self.times: dict[int, int | None] = {}
        self.created: dict[int, int] = {}
        self.updated: dict[int, int] = {}
        chance = lambda n: ((n + seed) * _GOLDEN >> 16) & 0xFFFFFFFF  # noqa: E731
        self._way, self.person_of = way, person_of
        self._base_time: Callable[[int], int] = lambda number: self._at(number) // HALF_HOUR_MS * HALF_HOUR_MS
        self._made: Callable[[int], int] = spread(self.count, now - 712 * DAY_MS, now - HOUR_MS, chance)
        self.timeline = Timeline(count, self._base_time)
        first = count
        self.undated: dict[str, list[int]] = {}
        for kind, many in self.loose.items():
            self.undated[kind] = list(range(first, first + many))
            first += many

    def _at(self, number: int) -> int:
        """When the crew comes: two weeks after the first touch, to those of the last months up to three months ahead.

        Grows with the number.
        """
        first = self._way.first(self.person_of(number))
        return first + max(14 * DAY_MS, 90 * DAY_MS - (self._way.now - first))

    def _base_created(self, number: int) -> int:
        """With the appointment, or for what has no time, whenever."""
        if number >= self.dated:
            return self._made(number)
        return self._way.after(self.person_of(number), journey.APPOINTMENT)

    def find(self, object_id: str) -> int | None:
        if not object_id.isdigit():
            return None
        number = number_of(self.name, int(object_id))
        return number if number < self.count + self.added and number not in self.deleted else None

    def time_of(self, number: int) -> int | None:
        if number in self.times:
            return self.times[number]
        return self._base_time(number) if number < self.dated else None

    def created_of(self, number: int) -> int:
        if number in self.created:
            return self.created[number]
        # Those with a time are created before their time, whatever their number.
        return (
            min(self._base_created(number), self._base_time(number))
            if number < self.dated
            else self._base_created(number)
        )

    def updated_of(self, number: int) -> int:
        return self.updated.get(number, self.created_of(number) + HALF_HOUR_MS)

    def kind_of(self, number: int) -> str:
        if self.time_of(number) is not None:
            return SCHEDULED
        return next((kind for kind, numbers in self.undated.items() if _holds(numbers, number)), NO_DATETIME)

    def place(self, number: int, at: int | None, kind: str = UNSCHEDULED) -> None:
        """Give a number a time, or take it away: then it is unscheduled, or simply without a date."""
        self._unplace(number)
        self.times[number] = at
        if at is None:
            insort(self.undated[kind], number)
        else:
            self.timeline.place(number, at)

    def add(self, created: int, at: int | None, kind: str) -> int:
        number = self.count + self.added
        self.added += 1
        self.created[number] = self.updated[number] = created
        self.place(number, at, kind)
        return number

    def remove(self, number: int) -> None:
        self.deleted.add(number)
        self.changes.setdefault(number, {})["was"] = self.kind_of(number)
        self._unplace(number)

    def restore(self, number: int) -> None:
        self.deleted.remove(number)
        self.place(number, self.time_of(number), self.changes[number].pop("was"))

    def _unplace(self, number: int) -> None:
        for numbers in self.undated.values():
            if _holds(numbers, number):
                del numbers[bisect_left(numbers, number)]
        if number < self.dated or number in self.timeline._moved:
            self.timeline.place(number, None)

    def __len__(self) -> int:
        return self.count + self.added - len(self.deleted)

    def numbers(self) -> list[int]:
        return [number for number in range(self.count + self.added) if number not in self.deleted]


def _holds(numbers: list[int], number: int) -> bool:
    place = bisect_left(numbers, number)
    return place < len(numbers) and numbers[place] == number


def utc(ms: int | None) -> str | None:
    return None if ms is None else datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S")

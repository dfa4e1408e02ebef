"""The records of one entity set: so many by formula, and what has become of them since."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator
from typing import Any

from warehouse_pipelines.simulators.core.journey import DAY_MS
from warehouse_pipelines.simulators.core.population import marketsharp_id
from warehouse_pipelines.simulators.core.timeline import Timeline, spread
from warehouse_pipelines.simulators.marketsharp.sets import INT, SETS

Record = dict[str, Any]


class RecordStore:
    """The records of one set: `count` by formula, and what has become of them since."""

    def __init__(self, name: str, count: int, now: int, seed: int, time_of: Callable[[int], int] | None) -> None:
        self.name = name
        self.count = count
        self.added = 0
        self.shape = SETS[name]
        self.numbered = self.shape.properties[self.shape.key] == INT
        self.changes: dict[int, Record] = {}
        self.deleted: dict[int, int | None] = {}
        chance: Callable[[int], int] = lambda number: (number + seed) * 2_654_435_761 >> 8 & 0xFFFFFFFF  # noqa: E731
        self.base_time = time_of or spread(count, now - 700 * DAY_MS, now - 3 * DAY_MS, chance)
        self.timeline = Timeline(count, self.base_time)
        self._salt = "Contacts" if name in ("Contacts", "ContactPhones") else name
        self._sorted: list[tuple[Any, int]] | None = None

    def id_of(self, number: int) -> Any:
        return number + 1 if self.numbered else marketsharp_id(number, self._salt)

    def by_id(self) -> list[tuple[Any, int]]:
        """The ids of what is there, each with its number, in the order of ids."""
        if self._sorted is None:
            living = (number for number in range(self.count + self.added) if number not in self.deleted)
            self._sorted = sorted((self.id_of(number), number) for number in living)
        return self._sorted

    def find(self, key: Any) -> int | None:
        rows = self.by_id()
        place = bisect_left(rows, (key, -1))
        return rows[place][1] if place < len(rows) and rows[place][0] == key else None

    def in_order(self, low: int | None) -> Iterator[int]:
        """The numbers by time, ties by id, from a time on; as lazily as the timeline allows."""
        window = self.timeline.window(low, None)
        offset, at = 0, None
        tied: list[int] = []
        while page := window.page(offset, 500, by_time=True):
            offset += len(page)
            for number in page:
                time = self.timeline.time_of(number)
                if time != at:
                    yield from sorted(tied, key=self.id_of)
                    tied, at = [], time
                tied.append(number)
        yield from sorted(tied, key=self.id_of)

    def add(self, time: int) -> int:
        number = self.count + self.added
        self.added += 1
        self.timeline.place(number, time)
        self._sorted = None
        return number

    def remove(self, number: int) -> None:
        self.deleted[number] = self.timeline.time_of(number)
        self.timeline.place(number, None)
        self._sorted = None

    def restore(self, number: int) -> None:
        self.timeline.place(number, self.deleted.pop(number))
        self._sorted = None

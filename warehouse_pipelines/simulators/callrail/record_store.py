"""Records with a date: a formula in time, and what was changed, added or removed; and the ids that CallRail gives."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from hashlib import md5
from typing import Any

from warehouse_pipelines.simulators.core.timeline import Timeline

_GOLDEN = 0x9E3779B97F4A7C15
_MASK = 0xFFFFFFFFFFFFFFFF
_INVERSE = pow(_GOLDEN, -1, 1 << 64)


@cache
def _head(prefix: str, seed: int) -> str:
    return prefix + md5(f"{seed}:{prefix}".encode(), usedforsecurity=False).hexdigest()[:16]


def masked(prefix: str, seed: int, number: int) -> str:
    """An id such as CAL0123…: three letters and 32 hex digits from which the number can be had again."""
    return f"{_head(prefix, seed)}{(number + 1) * _GOLDEN & _MASK:016x}"


def unmasked(text: str, prefix: str, seed: int) -> int | None:
    if len(text) != 35 or text[:19] != _head(prefix, seed):
        return None
    try:
        return (int(text[19:], 16) * _INVERSE & _MASK) - 1
    except ValueError:
        return None


class RecordStore:
    """The records of one list. Edits leave no time behind."""

    def __init__(self, prefix: str, seed: int, count: int, base_time: Callable[[int], int]) -> None:
        self.prefix, self.seed, self.count = prefix, seed, count
        self.added = 0
        self.deleted: set[int] = set()
        self.changes: dict[int, dict[str, Any]] = {}
        self._times: dict[int, int] = {}
        self._origins: dict[int, int] = {}
        self._base_time = base_time
        self.timeline = Timeline(count, base_time)

    def id_of(self, number: int) -> str:
        return masked(self.prefix, self.seed, number)

    def find(self, object_id: str) -> int | None:
        number = unmasked(object_id, self.prefix, self.seed)
        if number is None or not 0 <= number < self.count + self.added or number in self.deleted:
            return None
        return number

    def time_of(self, number: int) -> int:
        return self._times[number] if number in self._times else self._base_time(number)

    def add(self, at: int) -> int:
        number = self.count + self.added
        self.added += 1
        self._origins[number] = at
        self.move(number, at)
        return number

    def origin_of(self, number: int) -> int:
        """The time before any move."""
        return self._origins[number] if number in self._origins else self._base_time(number)

    def move(self, number: int, at: int) -> None:
        self._times[number] = at
        self.timeline.place(number, at)

    def remove(self, number: int) -> None:
        self.deleted.add(number)
        self.timeline.place(number, None)

    def __len__(self) -> int:
        return self.count + self.added - len(self.deleted)

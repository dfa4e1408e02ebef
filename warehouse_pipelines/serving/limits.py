"""What one sender may do: deliveries a second, bytes, and seconds for a body."""

import time
from collections import OrderedDict

LARGEST_BODY = 1_000_000
"""Bytes. A hundred events of HubSpot are a twentieth of that."""

BODY_SECONDS = 10.0
"""How long a body may take to come."""

MOST_HELD = 64_000_000
"""Bytes of bodies that are in memory at a time, from the first byte to the answer; more is answered 503."""

SENDERS = 10_000
"""Of so many senders the rate is kept in mind; the one that was quiet longest is forgotten first."""


class Room:
    """The memory for bodies, over all requests at a time: ``most`` bytes, or ``MOST_HELD``."""

    def __init__(self, most: int | None = None) -> None:
        self.held, self._most = 0, most

    def take(self, size: int) -> bool:
        """Hold so many bytes more; return False where there is no room for them. They are held either way."""
        self.held += size
        return self.held <= (MOST_HELD if self._most is None else self._most)

    def give_back(self, size: int) -> None:
        """Hold so many bytes less."""
        self.held -= size


class Rate:
    """A bucket for each sender: ``per_second`` deliveries, and twice as many at once."""

    def __init__(self, per_second: int) -> None:
        self._per_second = per_second
        self._buckets: OrderedDict[tuple[str, str], tuple[float, float]] = OrderedDict()

    def allows(self, source: str, sender: str) -> bool:
        """Count a delivery; return False when it is one too many."""
        now, most = time.monotonic(), 2.0 * self._per_second
        left, at = self._buckets.pop((source, sender), (most, now))
        left = min(most, left + (now - at) * self._per_second)
        allowed = left >= 1
        self._buckets[source, sender] = (left - allowed, now)
        if len(self._buckets) > SENDERS:
            self._buckets.popitem(last=False)
        return allowed

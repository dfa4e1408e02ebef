"""A limit of a vendor: so many requests within a minute, whenever it began."""

import time
from collections import deque


class PerMinute:
    """The requests of the last minute."""

    def __init__(self) -> None:
        self._times: deque[float] = deque()

    def is_over(self, most: int | None) -> bool:
        """Whether `most` came already; if not, one more has. None is no limit."""
        if most is None:
            return False
        now = time.monotonic()
        while self._times and self._times[0] <= now - 60:
            self._times.popleft()
        if len(self._times) >= most:
            return True
        self._times.append(now)
        return False

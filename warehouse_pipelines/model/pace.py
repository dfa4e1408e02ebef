"""How many requests of one read are in flight: few at first, more while the vendor answers as fast as before.

A round of answers to as many requests as are allowed allows one more. A refusal or a lost connection halves the number,
once for all requests that were in flight together. Answers that take ``SLOWER`` times as long as the first ones of
their route lower it by one a round: the vendor queues what it is asked, and more requests would bring nothing. Requests
that wait for their budget are not in flight, so a read that its budget holds back does not ask for more.

A read acquires its budget for all of its requests in one queue (``request_budget``), so runs that share a credential
share what is left of it, however many requests each of them has in flight.
"""

import contextlib
import threading
import time
from collections.abc import Iterator

FIRST = 2
MOST = 12
"""Enough for 20 requests a second when an answer takes 0.6 s."""

SLOWER = 3.0
FAST = 0.1
"""Seconds. Shorter answers never count as slow: they measure this machine and not the vendor."""

SAMPLES = 4
"""Answers of a route by which its usual time is known."""

ROUTES = 100
"""Routes that are remembered; a read by key has one for each record."""


class Pace:
    """The number of requests that one read may have in flight, ``allowed``; threads may share it."""

    def __init__(self) -> None:
        self.allowed = FIRST
        self._lock = threading.Lock()
        self._sent = self._most_sent = self._fast = self._slow = 0
        self._halved_at = 0.0
        self._times: dict[str, tuple[int, float, float]] = {}

    def begin_with(self, allowed: int) -> None:
        """Allow so many from the start, because somebody asked for them."""
        with self._lock:
            self._change(allowed)

    @contextlib.contextmanager
    def timed(self, route: str, lost: type[Exception]) -> Iterator[None]:
        """Note the request that the block sends, and how it fared.

        ``lost`` is raised for one that was refused for now, or whose answer was lost; whatever else is raised, the
        request was answered.
        """
        began = time.monotonic()
        self.note_sent()
        try:
            yield
        except lost:
            self.note_refusal(time.monotonic() - began)
            raise
        except BaseException:
            self.note_answer(route, time.monotonic() - began)
            raise
        self.note_answer(route, time.monotonic() - began)

    def note_sent(self) -> None:
        """Note that a request is sent to the vendor now."""
        with self._lock:
            self._sent += 1
            self._most_sent = max(self._most_sent, self._sent)

    def note_answer(self, route: str, seconds: float) -> None:
        """Note that a request was answered after so many ``seconds``."""
        with self._lock:
            self._sent -= 1
            if self._is_slow(route, seconds):
                self._fast, self._slow = 0, self._slow + 1
            else:
                self._fast, self._slow = self._fast + 1, 0
            if self._fast >= self.allowed <= self._most_sent:
                self._change(max(self.allowed, min(MOST, self.allowed + 1)))
            elif self._slow >= self.allowed:
                self._change(min(self.allowed, max(FIRST, self.allowed - 1)))

    def note_refusal(self, seconds: float) -> None:
        """Note that a request sent so many ``seconds`` ago was refused for now, or its answer lost."""
        with self._lock:
            self._sent -= 1
            now = time.monotonic()
            if now - seconds >= self._halved_at:
                self._halved_at = now
                self._change(max(1, self.allowed // 2))

    def _change(self, allowed: int) -> None:
        self.allowed, self._fast, self._slow, self._most_sent = allowed, 0, 0, self._sent

    def _is_slow(self, route: str, seconds: float) -> bool:
        number, usual, recent = self._times.get(route, (0, 0.0, 0.0))
        if number < SAMPLES:
            if number or len(self._times) < ROUTES:
                usual += (seconds - usual) / (number + 1)
                self._times[route] = (number + 1, usual, usual)
            return False
        recent += (seconds - recent) / SAMPLES
        self._times[route] = (number, usual, recent)
        return recent > max(FAST, SLOWER * usual)

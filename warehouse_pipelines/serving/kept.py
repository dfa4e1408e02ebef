"""Answers that many ask for and that need not be new: asked once by all who wait, and kept for some seconds."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Kept(Generic[T]):
    """What ``ask`` returned, asked again when it is older than ``seconds``.

    What it returns or raises is the answer to all who waited meanwhile, so that no queue grows behind a warehouse
    that is slow or away.
    """

    def __init__(self, ask: Callable[[], Awaitable[T]], seconds: float) -> None:
        self._ask, self._seconds = ask, seconds
        self._lock = asyncio.Lock()
        self._found: tuple[float, T] | None = None
        self._failed: tuple[float, Exception] | None = None

    async def now(self) -> T:
        """Return it. Raises as ``ask`` does."""
        began = time.monotonic()
        async with self._lock:
            if self._failed is not None and began < self._failed[0]:
                raise self._failed[1].with_traceback(None)
            if self._found is None or began - self._found[0] > self._seconds:
                try:
                    found = await self._ask()
                except Exception as error:
                    self._failed = (time.monotonic(), error)
                    raise
                self._found, self._failed = (time.monotonic(), found), None
            return self._found[1]

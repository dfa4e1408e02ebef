"""Answers that many ask for and that need not be new: asked once by all who wait, and kept for some seconds."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Kept(Generic[T]):
    """What ``ask`` returned, asked again when it is older than ``seconds``. What it raises is kept by nobody."""

    def __init__(self, ask: Callable[[], Awaitable[T]], seconds: float) -> None:
        self._ask, self._seconds = ask, seconds
        self._lock = asyncio.Lock()
        self._found: tuple[float, T] | None = None

    async def now(self) -> T:
        """Return it. Raises as ``ask`` does."""
        async with self._lock:
            if self._found is None or time.monotonic() - self._found[0] > self._seconds:
                self._found = (time.monotonic(), await self._ask())
            return self._found[1]

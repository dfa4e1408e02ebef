"""Requests of one read side by side: as many in flight as its pace allows, their answers as they come.

    flight = InFlight(context)
    while flight.free():
        flight.ask(what, request)
    what, answer = flight.answer()

The generator that reads stays alone with its state: it asks, takes an answer, decides, and asks again. Only the request
itself runs in a thread, and what it touches beyond the client must be ready before (a ``cached_property``). An answer
that nobody takes keeps its place in flight, so memory holds no more answers than the pace allows.

The first error ends the read. Answers to requests still in flight then, or when the run is cancelled, are dropped; the
threads are daemons, so a process need not wait for them.
"""

import queue
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from functools import partial
from typing import Generic, TypeVar

from warehouse_pipelines.errors import VendorUnavailable
from warehouse_pipelines.model.reading import ReadContext

A = TypeVar("A")
T = TypeVar("T")

LOOK_SECONDS = 0.2
"""How often a wait for an answer looks whether the run was cancelled."""


class InFlight(Generic[A, T]):
    """Requests in flight, each for a ``what`` that its answer comes back with; ``most`` caps what the pace allows."""

    def __init__(self, context: ReadContext, most: int | None = None) -> None:
        self._context, self._most = context, most
        self._answers: queue.SimpleQueue[tuple[A, T | None, BaseException | None]] = queue.SimpleQueue()
        self._number = 0

    def __len__(self) -> int:
        return self._number

    def free(self, held: int = 0) -> bool:
        """Return whether another request may be sent now, beside ``held`` answers that were taken and are kept."""
        allowed = self._context.pace.allowed
        return self._number + held < (allowed if self._most is None else min(self._most, allowed))

    def ask(self, what: A, request: Callable[[], T]) -> None:
        """Send a request in a thread of its own."""
        self._number += 1

        def run() -> None:
            try:
                self._answers.put((what, request(), None))
            except BaseException as error:
                self._answers.put((what, None, error))

        threading.Thread(target=run, name="request", daemon=True).start()

    def answer(self) -> tuple[A, T]:
        """Wait for the next answer and return it with what was asked; raise the error of its request instead.

        Raises ``VendorUnavailable`` when the run is cancelled meanwhile.
        """
        while not self._context.cancelled.is_set():
            try:
                what, answer, error = self._answers.get(timeout=LOOK_SECONDS)
            except queue.Empty:
                continue
            self._number -= 1
            if error is not None:
                raise error
            return what, answer  # type: ignore[return-value]  # None only if the request returned it
        raise VendorUnavailable("the run was stopped while waiting for the vendor")

    def drain(self) -> None:
        """Wait until nothing is in flight, or the run is cancelled; what comes is dropped."""
        while self._number and not self._context.cancelled.is_set():
            try:
                self._answers.get(timeout=LOOK_SECONDS)
            except queue.Empty:
                continue
            self._number -= 1


def as_answered(
    context: ReadContext, ask: Callable[[A], T], items: Iterable[A], most: int | None = None
) -> Iterator[tuple[A, T]]:
    """Yield each of ``items`` with what ``ask`` returns for it, in the order of the answers.

    An item is taken when its request can be sent.
    """
    flight = InFlight[A, T](context, most)
    left = iter(items)
    more = True
    while True:
        while more and flight.free():
            try:
                item = next(left)
            except StopIteration:
                more = False
            else:
                flight.ask(item, partial(ask, item))
        if not flight:
            return
        yield flight.answer()


def side_by_side(context: ReadContext, readers: Iterable[Iterator[T]], most: int | None = None) -> Iterator[T]:
    """Yield the pages of several lists as they come, where each page of a list names the next one.

    A reader is a generator that asks for a page of its list at a time, here in a thread. It is taken when its first
    page can be asked for, and those that are begun go first; so ``most`` of 1 reads one list after another, in their
    order.
    """
    flight = InFlight[Iterator[T], T | None](context, most)
    begun: deque[Iterator[T]] = deque()
    left = iter(readers)
    while True:
        while flight.free() and (one := begun.popleft() if begun else next(left, None)) is not None:
            flight.ask(one, partial(next, one, None))
        if not flight:
            return
        one, page = flight.answer()
        if page is not None:
            begun.append(one)
            yield page


def in_order(context: ReadContext, ask: Callable[[A], T], items: Iterable[A], most: int | None = None) -> Generator[T]:
    """Yield what ``ask`` returns for each of ``items``, in their order.

    An error is raised when its turn comes: an answer before it may end the read, such as the last page of a list beyond
    which others were asked for. Closing it waits for the requests in flight, so that none runs beside what is asked
    next.
    """

    def answered(item: A) -> tuple[T | None, Exception | None]:
        try:
            return ask(item), None
        except Exception as error:
            return None, error

    flight = InFlight[int, tuple[T | None, Exception | None]](context, most)
    left = enumerate(items)
    early: dict[int, tuple[T | None, Exception | None]] = {}
    due, more = 0, True
    try:
        while True:
            while more and flight.free(len(early)):
                try:
                    number, item = next(left)
                except StopIteration:
                    more = False
                else:
                    flight.ask(number, partial(answered, item))
            while due not in early:
                if not flight:
                    return
                number, early_one = flight.answer()
                early[number] = early_one
            found, error = early.pop(due)
            if error is not None:
                raise error
            yield found  # type: ignore[misc]  # None only if ``ask`` returned it
            due += 1
    except GeneratorExit:
        flight.drain()
        raise

"""The budget of requests of a credential, shared by every run through PostgreSQL.

A vendor's limit holds for the account and not for our process: ten entities in two runs draw on one budget, counted by
``orchestration.take_requests``. Requests of large budgets are acquired a few at a time, so that most of them cost no
round trip: one at first, and twice as many each time when all were used, so that a short run takes little that it does
not use.

Who has to wait is given a turn behind all who wait already, so processes share a spent budget evenly however fast they
ask. A process that dies or is stopped meanwhile leaves one portion unused. ``benchmarks/budget.py`` measures both.
"""

import contextlib
import logging
import math
import threading
import time
from types import TracebackType
from typing import TYPE_CHECKING

import psycopg

from warehouse_pipelines import warehouse
from warehouse_pipelines.errors import BudgetSpent, DatabaseUnavailable, VendorUnavailable
from warehouse_pipelines.model.reading import Budget

if TYPE_CHECKING:
    from warehouse_pipelines.warehouse import Session

log = logging.getLogger("warehouse.ingestion")

SAID_WAIT = 10.0
"""Seconds from which a wait is worth a line; shorter ones are the daily business of a budget of ten seconds."""

HELD_SECONDS = 0.05
"""How long a portion of a short budget lasts."""

LONGEST_WAIT = 3_900.0
"""Seconds that a run waits for its turn: as long as the budget of an hour takes to come back, or nobody could ever read
more at once than an hour allows. A spent day is longer than a run should hang."""


def portion(budget: Budget) -> int:
    """Return how many requests are acquired at once: those of ``HELD_SECONDS`` of a short budget, one of a scarce one.

    Those that are held get old: the vendor counts a request when it is sent, and not when it was acquired.
    """
    if budget.seconds <= 60:
        return max(1, int(budget.requests / budget.seconds * HELD_SECONDS))
    return max(1, budget.requests // 5000)


def _spoken(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{math.ceil(seconds / 60)} minutes"


class RequestBudget:
    """Acquires requests from budgets; one per run. It borrows a session with the first, until the end of the block."""

    def __init__(self, url: str, cancelled: threading.Event, crm: str | None = None) -> None:
        """``crm`` is whose requests these are, for whoever looks at what is left."""
        self._url, self._crm = url, crm
        self._cancelled = cancelled
        self._borrowed = contextlib.ExitStack()
        self._session: Session | None = None
        self._ended = False
        self._held: dict[tuple[str, Budget], tuple[int, int, float]] = {}
        """How many are left of how many that were acquired, and until when they may be used."""
        self._lock = threading.Lock()
        self._queues: dict[tuple[str, Budget], threading.Lock] = {}
        self.longest_wait = LONGEST_WAIT
        self.waited_seconds = 0.0

    def __enter__(self) -> "RequestBudget":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Give the session back once no thread uses it; after an error, end it at once."""
        with self._lock if kind is None else contextlib.nullcontext():
            self._ended = True
            self._borrowed.__exit__(kind, error, traceback)

    def acquire(self, credential: str, budget: Budget, longest_wait: float | None = None) -> None:
        """Wait for one request of ``budget``.

        Threads wait for one budget in a queue of their own, so a run asks for one portion at a time however many
        requests it has in flight, and whoever waits for one budget holds up no other.

        Raises ``BudgetSpent``, without having waited, when its turn would come later than ``longest_wait``, by default
        that of the run, ``VendorUnavailable`` when the run is cancelled meanwhile, ``DatabaseUnavailable`` when
        PostgreSQL is away.
        """
        with self._queue(credential, budget):
            if self._cancelled.is_set():
                raise VendorUnavailable("the run was stopped, so it acquires no request")
            left, acquired, until = self._held.get((credential, budget), (0, 0, 0.0))
            if left and time.monotonic() < until:
                self._held[credential, budget] = (left - 1, acquired, until)
                return
            wanted = acquired - left if left else min(portion(budget), 2 * acquired or 1)
            asked = time.monotonic()
            longest = self.longest_wait if longest_wait is None else longest_wait
            wait = self._ask(credential, budget, wanted, longest)
            if wait > longest:
                raise BudgetSpent(
                    f"the budget {budget.name} ({budget.requests} requests in {budget.seconds:.0f} s) is spent; "
                    f"the next request is free in {_spoken(wait)}. Nothing was loaded; the next run "
                    "starts at the same place.",
                    seconds=wait,
                )
            if wait:
                self._wait(wait, budget)
            self._held[credential, budget] = (wanted - 1, wanted, asked + wait + budget.seconds / 20)

    def _wait(self, seconds: float, budget: Budget) -> None:
        """Wait for the turn that this run was given."""
        if seconds >= SAID_WAIT:
            log.warning(
                "the budget %s (%d requests in %.0f s) is spent; waiting %s for the next request",
                budget.name, budget.requests, budget.seconds, _spoken(seconds),
            )  # fmt: skip
        with self._lock:
            self.waited_seconds += seconds
        if self._cancelled.wait(seconds):
            raise VendorUnavailable("the run was stopped while waiting for its budget of requests")

    def _queue(self, credential: str, budget: Budget) -> threading.Lock:
        with self._lock:
            return self._queues.setdefault((credential, budget), threading.Lock())

    def _ask(self, credential: str, budget: Budget, wanted: int, longest_wait: float) -> float:
        """Return after how many seconds the requests may be made; they are granted unless that is too long."""
        try:
            with self._lock:
                if self._ended:
                    raise VendorUnavailable("the run has ended, so it acquires no request")
                if self._session is None:
                    self._session = self._borrowed.enter_context(warehouse.session(self._url))
                    # A grant need not be on the disk: a server that crashes forgets those of half a second.
                    self._session.execute("SET synchronous_commit = off")
                row = self._session.execute(
                    "SELECT orchestration.take_requests(%s, %s, %s, %s, %s, %s, %s) AS wait",
                    [credential, budget.name, budget.requests, budget.seconds, wanted, self._crm, longest_wait],
                ).fetchone()
        except psycopg.Error as error:
            raise DatabaseUnavailable(
                f"the budget {budget.name} cannot be asked for ({type(error).__name__}): is PostgreSQL up and migrated?"
            ) from error
        return float(str(row["wait"])) if row else 0.0

"""The budget of requests of a credential, kept by this process alone: for reads that have no warehouse to share it in.

Processes that use one credential at the same time each spend the whole of it; the vendor then answers 429, and the
client waits as it says. ``request_budget`` shares a budget over all runs, through PostgreSQL.
"""

import threading
import time
from collections import defaultdict, deque

from warehouse_pipelines.errors import BudgetSpent, VendorUnavailable
from warehouse_pipelines.loading.request_budget import LONGEST_WAIT
from warehouse_pipelines.model.reading import Budget

_lock = threading.Lock()
_sent: dict[tuple[str, Budget], deque[float]] = defaultdict(deque)


class ProcessBudget:
    """Acquires requests from budgets; all of one process count together."""

    def __init__(self, cancelled: threading.Event) -> None:
        self._cancelled = cancelled

    def acquire(self, credential: str, budget: Budget, longest_wait: float | None = None) -> None:
        """Wait for one request of ``budget``.

        Raises ``BudgetSpent`` when its turn would come later than ``longest_wait``, by default ``LONGEST_WAIT``,
        ``VendorUnavailable`` when the read is cancelled meanwhile.
        """
        longest = LONGEST_WAIT if longest_wait is None else longest_wait
        while wait := self._ask(credential, budget):
            if wait > longest:
                raise BudgetSpent(
                    f"the budget {budget.name} ({budget.requests} requests in {budget.seconds:.0f} s) is spent; "
                    f"the next request is free in {wait:.0f} s. The next run starts at the same place."
                )
            if self._cancelled.wait(wait):
                raise VendorUnavailable("the read was stopped while waiting for its budget of requests")

    def _ask(self, credential: str, budget: Budget) -> float:
        """Return 0 when the request is granted, else the seconds to wait."""
        with _lock:
            now = time.monotonic()
            sent = _sent[credential, budget]
            while sent and sent[0] <= now - budget.seconds:
                sent.popleft()
            if len(sent) >= budget.requests:
                return sent[0] + budget.seconds - now
            sent.append(now)
            return 0.0

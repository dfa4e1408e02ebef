"""How many deliveries of each vendor ended how: in ``/health`` since ``serve`` began, and by the hour in the warehouse.

``orchestration.webhook_outcome`` counts every delivery, those too that are refused and of which nothing else is kept.
The counts are added every ``EVERY_SECONDS`` and when the program ends, so a kill loses those of so many seconds: what a
stranger sends is not worth a commit each. While the database is away they wait in memory; there are as many as vendors
and words, however much is sent.
"""

import asyncio
import contextlib
import logging
from collections import Counter

from warehouse_pipelines.queries import query
from warehouse_pipelines.serving.inbox import Inbox, InboxAway, Unstorable

log = logging.getLogger("warehouse.webhooks")

EVERY_SECONDS = 2.0


class Outcomes:
    """Counts of deliveries by source and outcome; ``run`` writes them down."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, str]] = Counter()
        self._unwritten: Counter[tuple[str, str]] = Counter()

    def add(self, source: str, outcome: str) -> None:
        """Count one."""
        what = (source, outcome)
        self._counts[what] += 1
        self._unwritten[what] += 1

    def by_source(self) -> dict[str, dict[str, int]]:
        """Return the counts by source and outcome."""
        found: dict[str, dict[str, int]] = {}
        for (source, outcome), count in sorted(self._counts.items()):
            found.setdefault(source, {})[outcome] = count
        return found

    async def run(self, inbox: Inbox, ending: asyncio.Event) -> None:
        """Write the counts down now and then, and once more at the end."""
        while not ending.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(ending.wait(), EVERY_SECONDS)
            await self._write(inbox)

    async def _write(self, inbox: Inbox) -> None:
        """Add what was counted since the last time; keep it for the next time while the inbox is away."""
        given, self._unwritten = self._unwritten, Counter()
        if not given:
            return
        parameters = {
            "sources": [source for source, _ in given],
            "outcomes": [outcome for _, outcome in given],
            "counts": list(given.values()),
        }
        try:
            await inbox.ask(query("webhook_count"), parameters)
        except InboxAway:
            self._unwritten.update(given)
        except Unstorable as error:
            log.error("counts of deliveries cannot be stored: %s", error)

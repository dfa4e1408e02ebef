"""When an entity is read, and how much of it: the ``cadence`` of its row.

    cadence=Cadence(every=timedelta(minutes=15), overlap=timedelta(minutes=5), full_every=DAY)

An entity without a cursor is read in full every time: of these words it can only have ``every`` and ``with_webhooks``.
One with a cursor must have ``full_every`` or ``never_full``, because a delta does not notice a record that was deleted
before its window.

``loading.plan`` chooses the window of a run by these words, so a source only reads the window that it is given. That is
why the two that a single vendor needs are here as well: ``lookahead`` (Arrivy) and ``retention`` (CallRail).
"""

from dataclasses import dataclass, fields
from datetime import date, timedelta


@dataclass(frozen=True, kw_only=True)
class Cadence:
    """How often an entity is read, and which stretch of time.

    ``every``           how often its schedule runs it
    ``with_webhooks``   how often it is polled while its webhooks deliver (``loading.webhook_cadence``)
    ``overlap``         how far before the last watermark a delta begins: the vendor's lag, and clocks that differ
    ``lookback``        how far before now every delta begins at the latest, for a cursor that edits do not move
    ``lookahead``       how far beyond now a window reaches, for a cursor that is a planned time
    ``full_every``      once in this time a delta becomes a full read, at a moment of the table's own
                        (``Entity.full_due``): it finds what was deleted without a trace, and edits that do not move
                        the cursor
    ``never_full``      why there is no ``full_every``, in words: deletions are then never noticed
    ``retention``       how far back the vendor can be asked; older rows are kept and never counted as missing
    ``full_schedule``   how often a schedule of its own reads everything, and ``force7_schedule`` what changed in seven
                        days, then also where the warehouse has newer values. Both come switched off:
                        `warehouse schedule on`
    ``backfill_since``  first day of the entity's backfill job, whose partitions are months, where the vendor can be
                        asked by date; ``warehouse backfill`` may ask for older days

    Raises ``ValueError`` when the words contradict each other.
    """

    every: timedelta = timedelta(hours=1)
    with_webhooks: timedelta | None = None
    overlap: timedelta = timedelta(0)
    lookback: timedelta = timedelta(0)
    lookahead: timedelta = timedelta(0)
    full_every: timedelta | None = None
    never_full: str = ""
    retention: timedelta | None = None
    full_schedule: timedelta | None = None
    force7_schedule: timedelta | None = None
    backfill_since: date | None = None

    def __post_init__(self) -> None:
        if self.every < timedelta(minutes=5):
            raise ValueError(f"a cadence of {self.every}, which is under five minutes")
        if self.with_webhooks is not None and self.with_webhooks <= self.every:
            raise ValueError(f"a cadence of {self.every} with webhooks {self.with_webhooks}, which is not longer")
        if self.full_every and self.never_full:
            raise ValueError("a cadence with full_every, and with never_full, which says why there is none")
        for mode, every in self.schedules.items():
            if every < timedelta(hours=1) or every % timedelta(minutes=1):
                raise ValueError(f"a {mode}_schedule of {every}, which is under an hour or no number of minutes")

    @property
    def schedules(self) -> dict[str, timedelta]:
        """The schedules beside that of ``every``, by the mode of their runs."""
        given = {"full": self.full_schedule, "force7": self.force7_schedule}
        return {mode: every for mode, every in given.items() if every is not None}

    @property
    def by_cursor(self) -> tuple[str, ...]:
        """The words of this cadence that an entity must have a cursor for."""
        free = ("every", "with_webhooks")
        return tuple(word.name for word in fields(self) if word.name not in free and getattr(self, word.name))

    @property
    def longest_gap(self) -> timedelta:
        """How far apart two starts may be while all is well, one that did not come off between them."""
        return max(2 * self.every, self.every + (self.with_webhooks or self.every))

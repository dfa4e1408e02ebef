"""How one run was asked to behave, and what came of it: the words that Dagster, the CLI and the loader share."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any, Literal

from warehouse_pipelines.errors import WrongUse
from warehouse_pipelines.model.entity import Entity
from warehouse_pipelines.model.reading import Window
from warehouse_pipelines.model.source import Source

Status = Literal["success", "partial", "failed"]

DAY = timedelta(days=1)


@dataclass(frozen=True)
class Purpose:
    """What a run is for, which decides what it reads: one of the constants and constructors below.

    ``backfill``, ``replay`` and ``webhook`` are the run's mode in the history too; the mode of the others is found by
    ``plan``.
    """

    kind: Literal["scheduled", "delivered", "probe", "backfill", "replay", "webhook"]
    window: Window | None = None
    dead_letters: Sequence[int] = ()
    keys: Sequence[str] = ()

    @classmethod
    def backfill(cls, window: Window) -> "Purpose":
        """Read this window again."""
        return cls("backfill", window=window)

    @classmethod
    def replay(cls, dead_letters: Sequence[int]) -> "Purpose":
        """Load these dead letters again, which the source's ``fetch`` reads instead of asking the vendor."""
        return cls("replay", dead_letters=tuple(dead_letters))

    @classmethod
    def by_key(cls, keys: Sequence[str]) -> "Purpose":
        """Read these records and nothing else: a webhook named them, or they have just been written (``keyed``)."""
        return cls("webhook", keys=tuple(keys))

    @property
    def configuration(self) -> dict[str, bool]:
        """Return what the history says of it beside the mode. ``for_webhooks`` says that it is no poll: a webhook asked
        for it, or outbound, which had just written the records.
        """
        if self.kind == "probe":
            return {"probe": True}
        return {"for_webhooks": True} if self.kind in ("delivered", "webhook") else {}


SCHEDULED = Purpose("scheduled")
"""What is new or due, for a schedule or a person."""

DELIVERED = Purpose("delivered")
"""What is new or due, because a webhook says that something is."""

PROBE = Purpose("probe")
"""What is new; the run commits only if nothing is (``probe``)."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """The flags of one run, as the command line names them; the defaults are a delta run.

    ``batch_size`` is the number of records asked for per request; None leaves it to the entity and its source, whose
    page is as large as the vendor allows, and no source asks for more than that. ``start_date`` is read as midnight
    UTC. With ``end_date``, a day that is included, the run is a backfill. ``vendor`` holds a vendor's own flags
    (``source.Flag``).
    """

    full: bool = False
    force: bool = False
    dry_run: bool = False
    skip_validation: bool = False
    debug: bool = False
    batch_size: int | None = None
    max_records: int = 0
    start_date: date | None = None
    end_date: date | None = None
    vendor: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.batch_size is not None and not 1 <= self.batch_size <= 10_000:
            raise ValueError(f"batch_size is {self.batch_size}; it must be between 1 and 10000")
        if self.max_records < 0:
            raise ValueError(f"max_records is {self.max_records}; it must be 0 (no limit) or more")
        if self.end_date is not None:
            if self.start_date is None:
                raise ValueError(f"end_date is {self.end_date} and start_date is missing; a backfill needs both")
            if self.start_date > self.end_date:
                raise ValueError(f"start_date {self.start_date} is after end_date {self.end_date}")
            if self.full:
                raise ValueError("full reads everything, and end_date asks for a part: give one of the two")

    def purpose(self, source: Source, entity: Entity, now: datetime | None = None) -> Purpose:
        """Return what a run with these flags is for: a backfill from ``start_date`` to ``end_date``, or ``SCHEDULED``.

        Raises ``WrongUse`` for an entity that cannot be asked by date, and for days of which nothing can be read.
        """
        if self.start_date is None or self.end_date is None:
            return SCHEDULED
        if entity.cadence.backfill_since is None:
            able = [other.name for other in source.entities if other.cadence.backfill_since]
            there = f"can: {', '.join(able)}" if able else "none of its entities can; read it with `full`"
            raise WrongUse(f"{source.name} {entity.name} cannot be asked by date. Of {source.name}, {there}.")
        now = now or datetime.now(UTC)
        first, after = (
            datetime.combine(day, datetime.min.time(), UTC) for day in (self.start_date, self.end_date + DAY)
        )
        if first > now + entity.cadence.lookahead:
            raise WrongUse(f"{self.start_date} is in the future: {source.title} has no {entity.name} of it yet.")
        retention = entity.cadence.retention
        if retention and after <= now - retention:
            raise WrongUse(
                f"{source.title} keeps {entity.name} for {retention.days} days, which is since "
                f"{(now - retention).date()}; {self.end_date} is before that."
            )
        return Purpose.backfill(Window(first, after))


@dataclass(frozen=True, kw_only=True)
class Result:
    """What one run of an entity did. ``processed`` = created + updated + unchanged + failed + filtered.

    ``deleted`` rows were tombstoned, ``restored`` ones came back; both are besides the sum. ``watermark`` is where the
    next delta begins (less the overlap), None when it was not moved.
    ``reason`` says why a run is partial. ``sample`` is up to five rows as the UI may show them.
    ``metrics`` are the ``performance_metrics`` of the history row. ``unread_keys`` are those of a run by key that the
    vendor refused to answer, or, with ``unread_seconds``, for which the budget has a request in so many seconds.
    """

    history_id: int
    status: Status
    window: Window
    mode: str
    processed: int
    created: int
    updated: int
    unchanged: int
    failed: int
    filtered: int
    deleted: int
    restored: int
    total_rows: int
    calls: int
    seconds: float
    watermark: datetime | None
    reason: str | None
    sample: list[dict[str, Any]]
    metrics: Mapping[str, Any]
    unread_keys: Sequence[str] = ()
    unread_seconds: float = 0.0

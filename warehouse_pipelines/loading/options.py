"""How one run was asked to behave, and what came of it: the words that Dagster, the CLI and the loader share."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any, Literal

from warehouse_pipelines.entity import Window

Status = Literal["success", "partial", "failed"]


@dataclass(frozen=True, kw_only=True)
class Options:
    """The flags of one run, as ``interface.md`` names them; the defaults are a delta run.

    ``batch_size`` is the number of records asked for per request; None leaves it to the entity and its source, whose
    page is as large as the vendor allows, and no source asks for more than that. ``start_date`` is read as midnight
    UTC. ``vendor`` holds a vendor's own flags (``entity.Flag``).
    """

    full: bool = False
    force: bool = False
    dry_run: bool = False
    skip_validation: bool = False
    debug: bool = False
    batch_size: int | None = None
    max_records: int = 0
    start_date: date | None = None
    vendor: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.batch_size is not None and not 1 <= self.batch_size <= 10_000:
            raise ValueError(f"batch_size is {self.batch_size}; it must be between 1 and 10000")
        if self.max_records < 0:
            raise ValueError(f"max_records is {self.max_records}; it must be 0 (no limit) or more")


@dataclass(frozen=True, kw_only=True)
class Result:
    """What one run of an entity did. ``processed`` = created + updated + unchanged + failed + filtered.

    ``deleted`` rows were tombstoned, ``restored`` ones came back; both are besides the sum. ``cursor`` is the
    source's high-water mark that the next delta begins at (less the overlap), or None when it was not moved.
    ``reason`` says why a run is partial. ``sample`` is up to five rows with personal data masked.
    ``metrics`` are the ``performance_metrics`` of the history row.
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
    cursor: datetime | None
    reason: str | None
    sample: list[dict[str, Any]]
    metrics: Mapping[str, Any]

    @property
    def days_covered(self) -> list[date]:
        """The whole or begun days of the window, for the partition view; none for a read of everything."""
        if self.window.since is None:
            return []
        first, last = self.window.since.astimezone(UTC).date(), self.window.until.astimezone(UTC).date()
        return [first + timedelta(days=n) for n in range((last - first).days + 1)]

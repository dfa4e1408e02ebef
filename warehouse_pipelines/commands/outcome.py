"""What one run did to one entity, read from ``orchestration.sync_history``, and the exit code that it leads to."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from warehouse_pipelines import warehouse
from warehouse_pipelines.errors import WarehouseError

if TYPE_CHECKING:
    from warehouse_pipelines.loading.options import Result


ENDINGS: Mapping[str, int] = {"success": 0, "partial": 3, "failed": 1, "cancelled": 130}
"""The exit code of each ending; ``worst`` says which of several counts."""


DIED = "its process died; look for a kill by the system (memory), then run again"


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What one run did to one entity. ``reason`` says why it is not a success."""

    crm: str
    sync_type: str
    status: str
    history_id: int | None = None
    processed: int = 0
    created: int = 0
    updated: int = 0
    unchanged: int = 0
    failed: int = 0
    filtered: int = 0
    deleted: int = 0
    seconds: float = 0.0
    calls: int = 0
    dry_run: bool = False
    reason: str | None = None

    @property
    def records_per_second(self) -> float:
        """Processed records per second of the whole run."""
        return self.processed / self.seconds if self.seconds else 0.0


COUNTS = ("processed", "created", "updated", "unchanged", "failed", "filtered", "deleted")


def worst(outcomes: Iterable[Outcome]) -> int:
    """Return the exit code of several: that of a cancel, then of the worst; nothing at all is failed."""
    codes = {ENDINGS.get(outcome.status, 1) for outcome in outcomes}
    return next((code for code in (130, 1, 3, 0) if code in codes), 1)


HISTORY = """
SELECT DISTINCT ON (crm_source, sync_type) *, extract(epoch FROM end_time - start_time)::float8 AS took
FROM orchestration.sync_history WHERE run_id = %s ORDER BY crm_source, sync_type, id DESC
"""


def outcomes_of(run_id: str, url: str) -> list[Outcome]:
    """Return what the history says of a Dagster run; of an entity that was tried again, its last attempt."""
    with warehouse.session(url) as session:
        rows = sorted(session.execute(HISTORY, (run_id,)).fetchall(), key=lambda row: int(row["id"]))
    return [_outcome(row) for row in rows]


def _outcome(row: Mapping[str, Any]) -> Outcome:
    metrics, status = row["performance_metrics"], row["status"]
    return Outcome(
        crm=row["crm_source"],
        sync_type=row["sync_type"],
        status="failed" if status == "running" else status,
        history_id=row["id"],
        processed=row["records_processed"],
        created=row["records_created"],
        updated=row["records_updated"],
        unchanged=metrics.get("unchanged", 0),
        failed=row["records_failed"],
        filtered=metrics.get("filtered", 0),
        deleted=metrics.get("deleted", 0),
        seconds=row["took"] or 0.0,
        calls=metrics.get("total_api_calls", 0),
        dry_run=bool(row["configuration"].get("dry_run")),
        reason="the run ended without closing its row" if status == "running" else _reason(row),
    )


def outcome_of(crm: str, sync_type: str, result: "Result | WarehouseError") -> Outcome:
    """Return the outcome of a sync that did not run in Dagster (a replay), or of one that failed."""
    if isinstance(result, WarehouseError):
        return Outcome(crm=crm, sync_type=sync_type, status="failed", reason=str(result))
    counts = {name: getattr(result, name) for name in COUNTS}
    return Outcome(
        crm=crm,
        sync_type=sync_type,
        status=result.status,
        history_id=result.history_id,
        seconds=result.seconds,
        calls=result.calls,
        reason=result.reason or (f"{result.failed} records are in the dead letters" if result.failed else None),
        **counts,
    )


def _reason(row: Mapping[str, Any]) -> str | None:
    reason = row["error_message"] or row["performance_metrics"].get("partial_reason")
    return None if reason is None else str(reason)

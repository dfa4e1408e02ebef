"""What the tests of the battery check of every run."""

from datetime import datetime
from typing import Any

from warehouse_pipelines.loading.options import Result
from warehouse_pipelines_tests.harness.drivers.driver import Key
from warehouse_pipelines_tests.harness.source_harness import SourceHarness

CONFIGURATION = {"mode", "batch_size", "dry_run", "window_start", "window_end"}
METRICS = {
    "duration_seconds", "records_per_second", "error_rate", "api_calls_per_record", "total_api_calls",
    "total_records", "peak_memory_mb",
}  # fmt: skip
"""What a history row always tells."""


def check_history(harness: SourceHarness, result: Result) -> None:
    """The history row tells the same as the result, and its numbers add up."""
    row = harness.history()[-1]
    metrics = row["performance_metrics"]
    assert row["id"] == result.history_id
    assert row["status"] == result.status
    assert row["end_time"] >= row["start_time"]
    counts = [row[f"records_{name}"] for name in ("processed", "created", "updated", "failed")]
    assert counts == [result.processed, result.created, result.updated, result.failed]
    assert result.processed == sum(counts[1:]) + metrics["unchanged"] + metrics["filtered"]
    assert (metrics["unchanged"], metrics["filtered"]) == (result.unchanged, result.filtered)
    assert row["configuration"].keys() >= CONFIGURATION
    assert metrics.keys() >= METRICS
    assert metrics["total_records"] == result.processed
    assert row["endpoint"] == harness.entity.path


def check_nothing_changed(harness: SourceHarness) -> tuple[Result, Result, dict[Key, dict[str, Any]]]:
    """Sync twice; return both results and the rows, none of which the second run may have touched."""
    first = harness.sync()
    before = harness.rows()
    harness.simulator.reset_counters()
    result = harness.sync()
    assert result.status == "success"
    assert (result.created, result.updated, result.deleted, result.restored) == (0, 0, 0, 0)
    assert result.unchanged == result.processed
    assert harness.rows() == before
    assert len(harness.history()) == 2
    check_history(harness, result)
    return first, result, before


def watermark(harness: SourceHarness, result: Result) -> datetime:
    """The newest row's cursor; of a schedule that lies ahead, the present."""
    cursor = harness.entity.cursor
    assert cursor, "an entity without a cursor has no watermark"
    newest: datetime = max(row[cursor] for row in harness.rows().values() if row[cursor])
    return min(newest, result.window.until - harness.entity.cadence.lookahead)

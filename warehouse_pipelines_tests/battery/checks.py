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


def check_history(it: SourceHarness, result: Result) -> None:
    """The history row tells the same as the result, and its numbers add up."""
    row = it.history()[-1]
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
    assert row["endpoint"] == it.entity.path


def check_nothing_changed(it: SourceHarness) -> tuple[Result, Result, dict[Key, dict[str, Any]]]:
    """Sync twice; return both results and the rows, none of which the second run may have touched."""
    first = it.sync()
    before = it.rows()
    it.simulator.reset_counters()
    result = it.sync()
    assert result.status == "success"
    assert (result.created, result.updated, result.deleted, result.restored) == (0, 0, 0, 0)
    assert result.unchanged == result.processed
    assert it.rows() == before
    assert len(it.history()) == 2
    check_history(it, result)
    return first, result, before


def watermark(it: SourceHarness, result: Result) -> datetime:
    """The newest row's cursor; of a schedule that lies ahead, the present."""
    cursor = it.entity.cursor
    assert cursor, "an entity without a cursor has no watermark"
    newest: datetime = max(row[cursor] for row in it.rows().values() if row[cursor])
    return min(newest, result.window.until - it.entity.lookahead)

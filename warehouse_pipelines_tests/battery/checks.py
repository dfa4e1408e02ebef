"""What the tests of the battery check of every run."""

from datetime import datetime, timedelta
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


def check_first_reads(harness: SourceHarness) -> None:
    """A first run loads everything and writes one history row, whose cursor is the newest row's; a second one nothing.

    Nothing changed over there, so nothing changes here, not even a row's version. Of an entity with a cursor the
    overlap alone is read again; of another everything, or what changed since the vendor's last state: nothing.
    """
    entity = harness.entity
    truth = harness.driver.keys(entity)
    first = harness.sync()
    before = harness.rows()
    assert before.keys() == truth
    assert (first.status, first.mode, first.created) == ("success", "full", len(truth))
    assert (first.updated, first.unchanged, first.failed, first.deleted) == (0, 0, 0, 0)
    assert first.total_rows == len(truth)
    assert all(not row["archived"] and row["deleted_at"] is None and row["raw_data"] for row in before.values())
    assert len(harness.history()) == 1
    check_history(harness, first)
    assert first.watermark == (watermark(harness, first) if entity.cursor else None)
    if first.watermark:
        assert harness.history()[0]["configuration"]["cursor"] == first.watermark.isoformat()

    harness.simulator.reset_counters()
    second = harness.sync()
    assert second.status == "success"
    assert (second.created, second.updated, second.deleted, second.restored) == (0, 0, 0, 0)
    assert second.unchanged == second.processed
    assert harness.rows() == before
    assert len(harness.history()) == 2
    check_history(harness, second)
    if entity.cursor:
        check_window(harness, first, second, before)
    else:
        assert (second.mode, second.processed) == (("delta", 0) if entity.state_based else ("full", len(before)))


def check_window(harness: SourceHarness, first: Result, second: Result, rows: dict[Key, dict[str, Any]]) -> None:
    """The second of two runs asked for what is newer than the first one's watermark, and for its overlap."""
    cursor, cadence = harness.entity.cursor, harness.entity.cadence
    assert cursor
    assert first.watermark is not None
    since = first.watermark - cadence.overlap
    if cadence.lookback:
        since = min(since, second.window.until - cadence.lookahead - cadence.lookback)
    assert (second.mode, second.window.since) == ("delta", since)
    bounds = harness.driver.bounds(harness.entity)
    assert bounds
    assert all(since - timedelta(seconds=1) <= bound <= since for bound in bounds)
    newest = [row for row in rows.values() if row[cursor] is None or row[cursor] >= since]
    assert second.processed == len(newest) < len(rows)
    assert second.watermark == watermark(harness, second)


def watermark(harness: SourceHarness, result: Result) -> datetime:
    """The newest row's cursor; of a schedule that lies ahead, the present."""
    cursor = harness.entity.cursor
    assert cursor, "an entity without a cursor has no watermark"
    newest: datetime = max(row[cursor] for row in harness.rows().values() if row[cursor])
    return min(newest, result.window.until - harness.entity.cadence.lookahead)

"""One battery over every entity of every source: a new row is tested the moment it exists.

What it asks is the same for all; how a vendor is changed stands in ``harness/drivers``. What is odd about one vendor
stands in that vendor's own test file. A case that cannot apply to an entity is not generated: ``only`` says to which it
applies.
"""

import signal
from datetime import UTC, datetime, timedelta

import pytest

from warehouse_pipelines.errors import AnswerChanged, SuspiciousRead
from warehouse_pipelines.loading.replay import replay
from warehouse_pipelines_tests.battery.applies import (
    can_lose_ids,
    has_bad_values,
    has_cursor,
    has_local_values,
    has_no_bad_values,
    has_no_cursor,
    has_window,
    local_values,
    only,
)
from warehouse_pipelines_tests.battery.checks import check_history, check_nothing_changed, watermark
from warehouse_pipelines_tests.harness.source_harness import SourceHarness
from warehouse_pipelines_tests.harness.subprocesses import Child


def test_the_first_run_loads_everything(it: SourceHarness) -> None:
    """test_every_entity_writes_one_history_row is part of it: one row, and its cursor is the newest row's."""
    truth = it.driver.keys(it.entity)
    result = it.sync()
    rows = it.rows()
    assert rows.keys() == truth
    assert (result.status, result.mode, result.created) == ("success", "full", len(truth))
    assert (result.updated, result.unchanged, result.failed, result.deleted) == (0, 0, 0, 0)
    assert result.total_rows == len(truth)
    assert all(not row["archived"] and row["deleted_at"] is None and row["raw_data"] for row in rows.values())
    assert len(it.history()) == 1
    check_history(it, result)
    if it.entity.cursor:
        assert result.cursor == watermark(it, result)
        assert it.history()[0]["configuration"]["cursor"] == result.cursor.isoformat()
    else:
        assert result.cursor is None


@only(has_cursor)
def test_second_run_requests_only_window(it: SourceHarness) -> None:
    """Nothing changed over there, so nothing changes here, not even a row's version; the overlap is read again."""
    first, result, before = check_nothing_changed(it)
    assert it.entity.cursor
    assert first.cursor is not None
    since = first.cursor - it.entity.cadence.overlap
    if it.entity.cadence.lookback:
        since = min(since, result.window.until - it.entity.cadence.lookahead - it.entity.cadence.lookback)
    assert (result.mode, result.window.since) == ("delta", since)
    bounds = it.driver.bounds(it.entity)
    assert bounds
    assert all(since - timedelta(seconds=1) <= bound <= since for bound in bounds)
    newest = [row for row in before.values() if row[it.entity.cursor] is None or row[it.entity.cursor] >= since]
    assert result.processed == len(newest) < len(before)
    assert result.cursor == watermark(it, result)


@only(has_no_cursor)
def test_second_run_without_a_cursor_changes_nothing(it: SourceHarness) -> None:
    """Everything is read again, or what changed since the vendor's last state: nothing."""
    _, result, before = check_nothing_changed(it)
    assert (result.mode, result.processed) == (("delta", 0) if it.entity.state_based else ("full", len(before)))


def test_edits_and_new_records_arrive(it: SourceHarness) -> None:
    it.sync()
    before = it.rows()
    edited, created = it.driver.edit(it.entity), it.driver.create(it.entity)
    result = it.sync()
    after = it.rows()
    assert (result.status, result.created, result.updated) == ("success", int(bool(created)), int(bool(edited)))
    assert after.keys() == it.driver.keys(it.entity)
    if edited:
        key, column, value = edited
        assert after[key][column] == value
        assert after[key]["sync_created_at"] == before[key]["sync_created_at"]
        assert after[key]["sync_updated_at"] > before[key]["sync_updated_at"]
    touched = {created, edited[0] if edited else None}
    assert {key: row for key, row in after.items() if key not in touched} == {
        key: row for key, row in before.items() if key not in touched
    }
    check_history(it, result)


def test_a_deleted_record_is_tombstoned_and_comes_back(it: SourceHarness) -> None:
    """By a delta where the vendor tells of deletions or shows a whole window, else by a read of everything."""
    entity = it.entity
    full = bool(entity.cursor and not entity.deletes.flag and not entity.deletes.by_window)
    it.sync()
    count = len(it.rows())
    key = it.driver.delete(entity)
    result = it.sync(full=full)
    row = it.rows()[key]
    assert (row["archived"], result.deleted, result.restored) == (True, 1, 0)
    assert row["deleted_at"] is not None
    assert row["delete_reason"] == ("archived" if entity.deletes.flag else "missing")
    assert it.living() == it.driver.keys(entity)
    assert len(it.rows()) == count
    check_history(it, result)

    again = it.sync(full=full)
    assert (again.deleted, again.updated, again.restored) == (0, 0, 0)
    assert it.rows()[key] == row

    it.driver.bring_back(entity, key)
    back = it.sync(full=full)
    row = it.rows()[key]
    assert (row["archived"], row["deleted_at"], row["delete_reason"]) == (False, None, None)
    assert (back.restored, back.deleted) == (1, 0)
    assert it.living() == it.driver.keys(entity)
    check_history(it, back)


@only(has_no_bad_values)
def test_records_that_are_none_are_an_answer_that_changed(it: SourceHarness) -> None:
    """Records without a bad value are built by our own fetch or are texts; a corrupt answer is another vendor then."""
    it.simulator.set_fault("malformed", path=it.driver.path(it.entity), times=1, what="non_object")
    with pytest.raises(AnswerChanged):
        it.sync()
    assert it.rows() == {}


@only(has_bad_values)
def test_one_bad_record_is_set_aside_and_replayed(it: SourceHarness) -> None:
    """The others are loaded; a replay after the fix resolves the dead letter.

    The severity is this test's; as the source has it, a bad value costs itself and not its record.
    """
    truth = it.driver.keys(it.entity)
    column = it.driver.bad_column(it.entity, "bad_date")
    assert column
    it.driver.corrupt(it.entity, "bad_date")
    strict, entity = it.with_entity(severity={column: "reject"})
    result = it.sync(source=strict, entity=entity)
    assert (result.status, result.failed, result.created) == ("partial", 1, len(truth) - 1)
    (dead_letter,) = it.dead_letters()
    assert (dead_letter["crm_source"], dead_letter["sync_type"]) == (it.source.name, it.entity.name)
    assert (dead_letter["sync_history_id"], dead_letter["attempts"]) == (result.history_id, 1)
    assert column in dead_letter["error_message"]
    assert {tuple(dead_letter["record_key"].split())} == truth - it.rows().keys()
    check_history(it, result)

    before = it.rows()
    ((_, _, replayed),) = replay([it.source], url=it.url)
    assert (replayed.mode, replayed.created, replayed.failed) == ("replay", 1, 0)
    assert replayed.metrics["values_lost"][column] == {"lost": 1, "of": 1}
    assert it.rows().keys() == truth
    assert [row[column] for key, row in it.rows().items() if key not in before] == [None]
    assert before.items() <= it.rows().items()
    assert [one["id"] for one in it.dead_letters("resolved")] == [dead_letter["id"]]
    assert replay([it.source], url=it.url) == []


@only(has_local_values)
def test_force_overwrites_newer_local_value(it: SourceHarness) -> None:
    """Without --force, whoever is newer wins; here somebody changed a row by hand and dated it in the future."""
    it.sync()
    before = it.rows()
    own = local_values(it.entity)
    # What may have to be unique is rather the first text than the last.
    texts = [name for name in own if it.entity.columns[name].kind == "text"]
    column = texts[-1] if texts else next(iter(own))
    local = own[column]
    version = it.entity.version
    dated = ""
    if version:
        counted = it.entity.columns[version].kind == "integer"
        later = f"{version} + 1000000" if counted else "now() + interval '1 day'"
        dated = f", {version} = {later}"
    it.execute(f"UPDATE {it.entity.table} SET {column} = %s, sync_hash = 0{dated}", local)
    kept = it.sync(full=True)
    if it.entity.version:
        assert {row[column] for row in it.rows().values()} == {local}
        assert (kept.updated, kept.unchanged) == (0, len(before))
    else:
        it.execute(f"UPDATE {it.entity.table} SET {column} = %s", local)  # the hash is right: nothing seems to differ
    result = it.sync(force=True)
    assert (result.mode, result.updated) == ("full", len(before))
    assert [row[column] for row in it.rows().values()].count(local) == 0
    columns = it.entity.columns
    assert [[row[name] for name in columns] for _, row in sorted(it.rows().items())] == [
        [row[name] for name in columns] for _, row in sorted(before.items())
    ]
    assert it.history()[-1]["configuration"]["force"] is True


def test_dry_run_changes_only_history(it: SourceHarness) -> None:
    truth = it.driver.keys(it.entity)
    on_nothing = it.sync(dry_run=True)
    assert (on_nothing.created, it.rows()) == (len(truth), {})
    it.sync()
    before = it.rows()
    if it.driver.bad_column(it.entity, "bad_date"):
        it.driver.corrupt(it.entity, "bad_date")
    it.driver.edit(it.entity)
    it.driver.delete(it.entity)
    result = it.sync(full=True, dry_run=True)
    assert result.created + result.updated + result.deleted + result.failed > 0
    assert it.rows() == before
    assert it.dead_letters() == []
    assert [row["configuration"]["dry_run"] for row in it.history()] == [True, False, True]
    assert [row["configuration"]["cursor"] for row in it.history()][::2] == [None, None]
    check_history(it, result)


@only(can_lose_ids)
def test_skip_validation_still_rejects_null_key(it: SourceHarness) -> None:
    truth = it.driver.keys(it.entity)
    it.driver.corrupt(it.entity, "missing_id")
    result = it.sync(skip_validation=True)
    assert (result.status, result.failed, result.created) == ("partial", 1, len(truth) - 1)
    (dead_letter,) = it.dead_letters()
    assert (dead_letter["rule"], dead_letter["record_key"]) == ("key_missing", None)
    assert it.history()[-1]["configuration"]["skip_validation"] is True


def test_batch_size_sets_page_size(it: SourceHarness) -> None:
    truth = it.driver.keys(it.entity)
    it.sync(dry_run=True)
    sizes = it.simulator.requests()["page_sizes"]
    usual = it.entity.page_size or it.source.page_size
    assert str(usual) in sizes or it.driver.fixed_size(it.entity)
    assert it.history()[-1]["configuration"]["batch_size"] == usual
    it.simulator.reset_counters()
    result = it.sync(batch_size=7)
    assert it.rows().keys() == truth
    assert (result.status, it.history()[-1]["configuration"]["batch_size"]) == ("success", 7)
    if not it.driver.fixed_size(it.entity):
        assert it.simulator.requests()["page_sizes"]["7"] >= len(truth) / 7


def test_max_records_is_exact_and_leaves_the_cursor(it: SourceHarness) -> None:
    wanted = max(1, len(it.driver.keys(it.entity)) // 2)
    result = it.sync(max_records=wanted, batch_size=7)
    assert (result.processed, result.created, result.status) == (wanted, wanted, "success")
    assert result.cursor is None
    assert it.history()[-1]["configuration"]["cursor"] is None
    check_history(it, result)
    full = it.sync()
    assert full.mode == "full"
    assert it.living() == it.driver.keys(it.entity)


@only(has_no_cursor)
def test_start_date_without_a_cursor_reads_everything(it: SourceHarness) -> None:
    result = it.sync(start_date=datetime.now(UTC).date() - timedelta(days=1))
    assert (result.mode, result.window.since) == ("full", None)


@only(has_cursor)
def test_start_date_asks_from_that_day(it: SourceHarness) -> None:
    today = datetime.now(UTC).date()
    start = datetime.combine(today - timedelta(days=1), datetime.min.time(), UTC)
    result = it.sync(start_date=start.date())
    assert (result.mode, result.window.since) == ("start_date", start)
    assert all(start - timedelta(seconds=1) <= bound <= start for bound in it.driver.bounds(it.entity))
    assert result.created >= 2
    assert it.entity.cursor
    assert all(row[it.entity.cursor] is None or row[it.entity.cursor] >= start for row in it.rows().values())
    assert result.cursor is None  # nothing is known of what lies before, so the next run reads everything
    assert it.sync().mode == "full"
    assert it.rows().keys() == it.driver.keys(it.entity)


def test_flag_matrix(it: SourceHarness) -> None:
    """--full on top of a table that is full changes nothing; then all eight at once."""
    it.sync()
    before = it.rows()
    full = it.sync(full=True)
    assert (full.mode, full.window.since, full.processed, full.unchanged) == ("full", None, len(before), len(before))
    assert it.rows() == before
    day = datetime.now(UTC).date()
    result = it.sync(
        full=True,
        force=True,
        dry_run=True,
        skip_validation=True,
        debug=True,
        batch_size=2,
        max_records=3,
        start_date=day,
    )
    assert (result.mode, result.processed) == ("full", min(3, len(before)))
    assert it.rows() == before


def test_unexpected_empty_source_is_not_success(it: SourceHarness) -> None:
    it.sync()
    before = it.rows()
    it.driver.empty(it.entity)
    with pytest.raises(SuspiciousRead, match="--force"):
        it.sync(full=True)
    row = it.history()[-1]
    assert row["status"] == "failed"
    assert "SuspiciousRead" in row["error_message"]
    assert it.rows() == before
    result = it.sync(full=True, force=True)
    assert (result.status, result.deleted) == ("success", len(before))
    assert it.living() == set()


@only(has_window)
def test_a_window_that_comes_back_empty_tombstones_nothing(it: SourceHarness) -> None:
    """A lost permission looks like this; so does a small customer's only call that was spam."""
    first = it.sync()
    before = it.rows()
    it.driver.empty(it.entity)
    for _ in range(2):
        result = it.sync()
        assert (result.mode, result.status, result.deleted, result.cursor) == ("delta", "partial", 0, None)
        assert "--force" in str(result.reason)
        assert it.rows() == before
        check_history(it, result)
    created = it.driver.create(it.entity)
    result = it.sync()
    since = result.window.since
    assert it.entity.cursor
    assert since is not None
    deleted = {key for key, row in before.items() if row[it.entity.cursor] >= since}
    assert (result.status, result.deleted) == ("success", len(deleted))
    assert deleted
    assert created in it.living()
    assert it.sync(force=True).status == "success"
    assert first.created == len(before)
    assert it.living() == {created}


def test_an_empty_vendor_on_an_empty_table_is_a_success(it: SourceHarness) -> None:
    """test_metrics_empty_run: nothing is divided by zero."""
    it.driver.empty(it.entity)
    result = it.sync()
    assert (result.status, result.processed, result.calls > 0) == ("success", 0, True)
    check_history(it, result)


def test_a_killed_run_is_closed(it: SourceHarness) -> None:
    """SIGKILL with the batch loaded and not committed: the table is as it was, and the next run repairs the rest."""
    it.sync()
    before = it.rows()
    it.driver.edit(it.entity)
    it.driver.create(it.entity)
    child = Child(it, wait=True, full=True)
    assert child.has_loaded() > 0
    child.send(signal.SIGKILL)
    assert it.rows() == before
    assert it.history()[-1]["status"] == "running"

    result = it.sync()
    assert result.status == "success"
    assert it.rows().keys() == it.driver.keys(it.entity)
    killed, last = it.history()[-2:]
    assert (killed["status"], last["status"]) == ("failed", "success")
    assert "process died" in killed["error_message"]
    assert killed["end_time"] is not None

"""One battery over every entity of every source: a new row is tested the moment it exists.

What it asks is the same for all; how a vendor is changed stands in ``harness/drivers``. What is odd about one vendor
stands in that vendor's own test file. A case that cannot apply to an entity is not generated: ``only`` says to which it
applies.
"""

import signal
from datetime import UTC, datetime, timedelta

import pytest

from warehouse_pipelines.errors import AnswerChanged, SuspiciousRead
from warehouse_pipelines_tests.battery.applies import (
    can_lose_ids,
    first_of_each_kind,
    first_of_each_merge,
    has_bad_values,
    has_cursor,
    has_local_values,
    has_no_bad_values,
    has_no_cursor,
    has_window,
    local_values,
    only,
)
from warehouse_pipelines_tests.battery.checks import check_first_reads, check_history
from warehouse_pipelines_tests.harness.source_harness import SourceHarness, replayed
from warehouse_pipelines_tests.harness.subprocesses import Child


def test_a_first_and_a_second_read_edits_and_deletions(harness: SourceHarness) -> None:
    """In one test, because what is dear is to come so far.

    A deletion arrives by a delta where the vendor tells of it or shows a whole window, else by a read of everything.
    What is deleted may come back.
    """
    entity = harness.entity
    check_first_reads(harness)
    before = harness.rows()
    edited, created = harness.driver.edit(entity), harness.driver.create(entity)
    result = harness.sync()
    after = harness.rows()
    assert (result.status, result.created, result.updated) == ("success", int(bool(created)), int(bool(edited)))
    assert after.keys() == harness.driver.keys(entity)
    if edited:
        key, column, value = edited
        assert after[key][column] == value
        assert after[key]["sync_created_at"] == before[key]["sync_created_at"]
        assert after[key]["sync_updated_at"] > before[key]["sync_updated_at"]
    touched = {created, edited[0] if edited else None}
    assert {key: row for key, row in after.items() if key not in touched} == {
        key: row for key, row in before.items() if key not in touched
    }
    check_history(harness, result)

    full = bool(entity.cursor and not entity.deletes.flag and not entity.deletes.by_window)
    key = harness.driver.delete(entity)
    result = harness.sync(full=full)
    row = harness.rows()[key]
    assert (row["archived"], result.deleted, result.restored) == (True, 1, 0)
    assert row["deleted_at"] is not None
    assert row["delete_reason"] == ("archived" if entity.deletes.flag else "missing")
    assert harness.living() == harness.driver.keys(entity)
    assert len(harness.rows()) == len(after)
    check_history(harness, result)

    again = harness.sync(full=full)
    assert (again.deleted, again.updated, again.restored) == (0, 0, 0)
    assert harness.rows()[key] == row

    harness.driver.bring_back(entity, key)
    back = harness.sync(full=full)
    row = harness.rows()[key]
    assert (row["archived"], row["deleted_at"], row["delete_reason"]) == (False, None, None)
    assert (back.restored, back.deleted) == (1, 0)
    assert harness.living() == harness.driver.keys(entity)
    check_history(harness, back)


@only(has_no_bad_values)
def test_records_that_are_none_are_an_answer_that_changed(harness: SourceHarness) -> None:
    """Records without a bad value are built by our own fetch or are texts; a corrupt answer is another vendor then."""
    harness.simulator.set_fault("malformed", path=harness.driver.path(harness.entity), times=1, what="non_object")
    with pytest.raises(AnswerChanged):
        harness.sync()
    assert harness.rows() == {}


@only(first_of_each_kind(has_bad_values))
def test_one_bad_record_is_set_aside_and_replayed(harness: SourceHarness) -> None:
    """The others are loaded; a replay after the fix resolves the dead letter.

    The severity is this test's; as the source has it, a bad value costs itself and not its record.
    """
    truth = harness.driver.keys(harness.entity)
    column = harness.driver.bad_column(harness.entity, "bad_date")
    assert column
    harness.driver.corrupt(harness.entity, "bad_date")
    strict, entity = harness.with_entity(severity={column: "reject"})
    result = harness.sync(source=strict, entity=entity)
    assert (result.status, result.failed, result.created) == ("partial", 1, len(truth) - 1)
    (dead_letter,) = harness.dead_letters()
    assert (dead_letter["crm_source"], dead_letter["sync_type"]) == (harness.source.name, harness.entity.name)
    assert (dead_letter["sync_history_id"], dead_letter["attempts"]) == (result.history_id, 1)
    assert column in dead_letter["error_message"]
    assert {tuple(dead_letter["record_key"].split())} == truth - harness.rows().keys()
    check_history(harness, result)

    before = harness.rows()
    (again,) = replayed([harness.source], harness.url)
    assert (again.mode, again.created, again.failed) == ("replay", 1, 0)
    assert again.metrics["values_lost"][column] == {"lost": 1, "of": 1}
    assert harness.rows().keys() == truth
    assert [row[column] for key, row in harness.rows().items() if key not in before] == [None]
    assert before.items() <= harness.rows().items()
    assert [one["id"] for one in harness.dead_letters("resolved")] == [dead_letter["id"]]
    assert replayed([harness.source], harness.url) == []


@only(first_of_each_kind(has_local_values))
def test_force_overwrites_newer_local_value(harness: SourceHarness) -> None:
    """Without --force, whoever is newer wins; here somebody changed a row by hand and dated it in the future."""
    harness.sync()
    before = harness.rows()
    own = local_values(harness.entity)
    # What may have to be unique is rather the first text than the last.
    texts = [name for name in own if harness.entity.columns[name].kind == "text"]
    column = texts[-1] if texts else next(iter(own))
    local = own[column]
    version = harness.entity.version
    dated = ""
    if version:
        counted = harness.entity.columns[version].kind == "integer"
        later = f"{version} + 1000000" if counted else "now() + interval '1 day'"
        dated = f", {version} = {later}"
    harness.execute(f"UPDATE {harness.entity.table} SET {column} = %s, sync_hash = 0{dated}", local)
    kept = harness.sync(full=True)
    if harness.entity.version:
        assert {row[column] for row in harness.rows().values()} == {local}
        assert (kept.updated, kept.unchanged, kept.metrics["older"]) == (0, 0, len(before))
    else:
        harness.execute(
            f"UPDATE {harness.entity.table} SET {column} = %s", local
        )  # the hash is right: nothing seems to differ
    result = harness.sync(force=True)
    assert (result.mode, result.updated) == ("full", len(before))
    assert [row[column] for row in harness.rows().values()].count(local) == 0
    columns = harness.entity.columns
    assert [[row[name] for name in columns] for _, row in sorted(harness.rows().items())] == [
        [row[name] for name in columns] for _, row in sorted(before.items())
    ]
    assert harness.history()[-1]["configuration"]["force"] is True


@only(first_of_each_kind())
def test_dry_run_changes_only_history(harness: SourceHarness) -> None:
    truth = harness.driver.keys(harness.entity)
    on_nothing = harness.sync(dry_run=True)
    assert (on_nothing.created, harness.rows()) == (len(truth), {})
    harness.sync()
    before = harness.rows()
    if harness.driver.bad_column(harness.entity, "bad_date"):
        harness.driver.corrupt(harness.entity, "bad_date")
    harness.driver.edit(harness.entity)
    harness.driver.delete(harness.entity)
    result = harness.sync(full=True, dry_run=True)
    assert result.created + result.updated + result.deleted + result.failed > 0
    assert harness.rows() == before
    assert harness.dead_letters() == []
    assert [row["configuration"]["dry_run"] for row in harness.history()] == [True, False, True]
    assert [row["configuration"]["cursor"] for row in harness.history()][::2] == [None, None]
    check_history(harness, result)


@only(first_of_each_kind(can_lose_ids))
def test_skip_validation_still_rejects_null_key(harness: SourceHarness) -> None:
    truth = harness.driver.keys(harness.entity)
    harness.driver.corrupt(harness.entity, "missing_id")
    result = harness.sync(skip_validation=True)
    assert (result.status, result.failed, result.created) == ("partial", 1, len(truth) - 1)
    (dead_letter,) = harness.dead_letters()
    assert (dead_letter["rule"], dead_letter["record_key"]) == ("key_missing", None)
    assert harness.history()[-1]["configuration"]["skip_validation"] is True


@only(first_of_each_kind())
def test_batch_size_sets_page_size(harness: SourceHarness) -> None:
    truth = harness.driver.keys(harness.entity)
    harness.sync(dry_run=True)
    sizes = harness.simulator.requests()["page_sizes"]
    usual = harness.entity.page_size or harness.source.page_size
    assert str(usual) in sizes or harness.driver.fixed_size(harness.entity)
    assert harness.history()[-1]["configuration"]["batch_size"] == usual
    harness.simulator.reset_counters()
    result = harness.sync(batch_size=7)
    assert harness.rows().keys() == truth
    assert (result.status, harness.history()[-1]["configuration"]["batch_size"]) == ("success", 7)
    if not harness.driver.fixed_size(harness.entity):
        assert harness.simulator.requests()["page_sizes"]["7"] >= len(truth) / 7


@only(first_of_each_kind())
def test_max_records_is_exact_and_leaves_the_cursor(harness: SourceHarness) -> None:
    wanted = max(1, len(harness.driver.keys(harness.entity)) // 2)
    result = harness.sync(max_records=wanted, batch_size=7)
    assert (result.processed, result.created, result.status) == (wanted, wanted, "success")
    assert result.watermark is None
    assert harness.history()[-1]["configuration"]["cursor"] is None
    check_history(harness, result)
    full = harness.sync()
    assert full.mode == "full"
    assert harness.living() == harness.driver.keys(harness.entity)


@only(first_of_each_kind(has_no_cursor))
def test_start_date_without_a_cursor_reads_everything(harness: SourceHarness) -> None:
    result = harness.sync(start_date=datetime.now(UTC).date() - timedelta(days=1))
    assert (result.mode, result.window.since) == ("full", None)


@only(first_of_each_kind(has_cursor))
def test_start_date_asks_from_that_day(harness: SourceHarness) -> None:
    today = datetime.now(UTC).date()
    start = datetime.combine(today - timedelta(days=1), datetime.min.time(), UTC)
    result = harness.sync(start_date=start.date())
    assert (result.mode, result.window.since) == ("start_date", start)
    assert all(start - timedelta(seconds=1) <= bound <= start for bound in harness.driver.bounds(harness.entity))
    assert result.created >= 2
    assert harness.entity.cursor
    assert all(
        row[harness.entity.cursor] is None or row[harness.entity.cursor] >= start for row in harness.rows().values()
    )
    assert result.watermark is None  # nothing is known of what lies before, so the next run reads everything
    assert harness.sync().mode == "full"
    assert harness.rows().keys() == harness.driver.keys(harness.entity)


@only(first_of_each_kind())
def test_flag_matrix(harness: SourceHarness) -> None:
    """--full on top of a table that is full changes nothing; then all eight at once."""
    harness.sync()
    before = harness.rows()
    full = harness.sync(full=True)
    assert (full.mode, full.window.since, full.processed, full.unchanged) == ("full", None, len(before), len(before))
    assert harness.rows() == before
    day = datetime.now(UTC).date()
    result = harness.sync(
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
    assert harness.rows() == before


@only(first_of_each_kind())
def test_unexpected_empty_source_is_not_success(harness: SourceHarness) -> None:
    harness.sync()
    before = harness.rows()
    harness.driver.empty(harness.entity)
    with pytest.raises(SuspiciousRead, match="--force"):
        harness.sync(full=True)
    row = harness.history()[-1]
    assert row["status"] == "failed"
    assert "SuspiciousRead" in row["error_message"]
    assert harness.rows() == before
    result = harness.sync(full=True, force=True)
    assert (result.status, result.deleted) == ("success", len(before))
    assert harness.living() == set()


@only(has_window)
def test_a_window_that_comes_back_empty_tombstones_nothing(harness: SourceHarness) -> None:
    """A lost permission looks like this; so does a small customer's only call that was spam."""
    first = harness.sync()
    before = harness.rows()
    harness.driver.empty(harness.entity)
    for _ in range(2):
        result = harness.sync()
        assert (result.mode, result.status, result.deleted, result.watermark) == ("delta", "partial", 0, None)
        assert "--force" in str(result.reason)
        assert harness.rows() == before
        check_history(harness, result)
    created = harness.driver.create(harness.entity)
    result = harness.sync()
    since = result.window.since
    assert harness.entity.cursor
    assert since is not None
    deleted = {key for key, row in before.items() if row[harness.entity.cursor] >= since}
    assert (result.status, result.deleted) == ("success", len(deleted))
    assert deleted
    assert created in harness.living()
    assert harness.sync(force=True).status == "success"
    assert first.created == len(before)
    assert harness.living() == {created}


@only(first_of_each_kind())
def test_an_empty_vendor_on_an_empty_table_is_a_success(harness: SourceHarness) -> None:
    """test_metrics_empty_run: nothing is divided by zero."""
    harness.driver.empty(harness.entity)
    result = harness.sync()
    assert (result.status, result.processed, result.calls > 0) == ("success", 0, True)
    check_history(harness, result)


@only(first_of_each_merge)
def test_a_killed_run_is_closed(harness: SourceHarness) -> None:
    """SIGKILL with the batch loaded and not committed: the table is as it was, and the next run repairs the rest."""
    harness.sync()
    before = harness.rows()
    harness.driver.edit(harness.entity)
    harness.driver.create(harness.entity)
    child = Child(harness, wait=True, full=True)
    assert child.has_loaded() > 0
    child.send(signal.SIGKILL)
    assert harness.rows() == before
    assert harness.history()[-1]["status"] == "running"

    result = harness.sync()
    assert result.status == "success"
    assert harness.rows().keys() == harness.driver.keys(harness.entity)
    killed, last = harness.history()[-2:]
    assert (killed["status"], last["status"]) == ("failed", "success")
    assert "process died" in killed["error_message"]
    assert killed["end_time"] is not None

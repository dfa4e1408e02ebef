"""One battery over every entity of every source: a new row is tested the moment it exists.

What it asks is the same for all; how a vendor is changed stands in ``vendors/``. What is odd about one vendor stands
in that vendor's own test file.
"""

import signal
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from warehouse_pipelines.errors import AnswerChanged, SuspiciousRead
from warehouse_pipelines.loading.options import Result
from warehouse_pipelines.loading.replay import replay
from warehouse_pipelines.local.postgres import Server
from warehouse_pipelines_tests.harness.subprocesses import Child
from warehouse_pipelines_tests.harness.vendors import BY_TABLE, World, world

CONFIGURATION = {"mode", "batch_size", "dry_run", "window_start", "window_end"}  # B-013
METRICS = {
    "duration_seconds", "records_per_second", "error_rate", "api_calls_per_record", "total_api_calls",
    "total_records", "peak_memory_mb",
}  # fmt: skip
"""B-120"""


@pytest.fixture(params=BY_TABLE)
def it(request: pytest.FixtureRequest, battery_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """The world of each entity in turn; the id of the test is the table's name."""
    with world(request.param, battery_url, monkeypatch) as one:
        one.execute("SET session_replication_role = replica")  # rows of other tables may refer to these
        for table in (one.entity.table, "orchestration.dead_letter", "orchestration.sync_history"):
            one.execute(f"DELETE FROM {table}")
        one.execute("RESET session_replication_role")
        one.vendor.prepare(one.entity)
        yield one


@pytest.fixture(scope="module")
def battery_url(test_server: Server, template: str) -> Iterator[str]:
    """One warehouse for all: emptying three tables is cheaper than copying a database."""
    name = f"battery_{uuid.uuid4().hex[:12]}"
    yield test_server.create_database(name, template=template)
    test_server.drop_database(name)


def check_history(it: World, result: Result) -> None:
    """The history row tells the same as the result, and its numbers add up (A-018, B-012, B-013, B-120)."""
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


def high_water(it: World, result: Result) -> datetime:
    """The newest row's cursor; of a schedule that lies ahead, the present."""
    newest: datetime = max(row[it.entity.cursor] for row in it.rows().values() if row[it.entity.cursor])
    return min(newest, result.window.until - it.entity.lookahead)


def test_the_first_run_loads_everything(it: World) -> None:
    """test_every_entity_writes_one_history_row is part of it: one row, and its cursor is the newest row's."""
    truth = it.vendor.keys(it.entity)
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
        assert result.cursor == high_water(it, result)
        assert it.history()[0]["configuration"]["cursor"] == result.cursor.isoformat()
    else:
        assert result.cursor is None


def test_second_run_requests_only_window(it: World) -> None:
    """Nothing changed over there, so nothing changes here, not even a row's version; the overlap is read again."""
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
    if not it.entity.cursor:
        wanted = ("delta", 0) if it.entity.by_state else ("full", len(before))
        assert (result.mode, result.processed) == wanted
        return
    assert first.cursor is not None
    since = first.cursor - it.entity.overlap
    if it.entity.lookback:
        since = min(since, result.window.until - it.entity.lookahead - it.entity.lookback)
    assert (result.mode, result.window.since) == ("delta", since)
    bounds = it.vendor.bounds(it.entity)
    assert bounds
    assert all(since - timedelta(seconds=1) <= bound <= since for bound in bounds)
    newest = [row for row in before.values() if row[it.entity.cursor] is None or row[it.entity.cursor] >= since]
    assert result.processed == len(newest) < len(before)
    assert result.cursor == high_water(it, result)


def test_edits_and_new_records_arrive(it: World) -> None:
    it.sync()
    before = it.rows()
    edited, created = it.vendor.edit(it.entity), it.vendor.create(it.entity)
    result = it.sync()
    after = it.rows()
    assert (result.status, result.created, result.updated) == ("success", int(bool(created)), int(bool(edited)))
    assert after.keys() == it.vendor.keys(it.entity)
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


def test_a_deleted_record_is_tombstoned_and_comes_back(it: World) -> None:
    """By a delta where the vendor tells of deletions or shows a whole window, else by a read of everything."""
    entity = it.entity
    full = bool(entity.cursor and not entity.archived and entity.missing == "everything")
    it.sync()
    count = len(it.rows())
    key = it.vendor.delete(entity)
    result = it.sync(full=full)
    row = it.rows()[key]
    assert (row["archived"], result.deleted, result.restored) == (True, 1, 0)
    assert row["deleted_at"] is not None
    assert row["delete_reason"] == ("archived" if entity.archived else "missing")
    assert it.living() == it.vendor.keys(entity)
    assert len(it.rows()) == count
    check_history(it, result)

    again = it.sync(full=full)
    assert (again.deleted, again.updated, again.restored) == (0, 0, 0)
    assert it.rows()[key] == row

    it.vendor.bring_back(entity, key)
    back = it.sync(full=full)
    row = it.rows()[key]
    assert (row["archived"], row["deleted_at"], row["delete_reason"]) == (False, None, None)
    assert (back.restored, back.deleted) == (1, 0)
    assert it.living() == it.vendor.keys(entity)
    check_history(it, back)


def test_one_bad_record_is_set_aside_and_replayed(it: World) -> None:
    """The others are loaded; a replay after the fix resolves the dead letter.

    The severity is this test's; as the source has it, a bad value costs itself and not its record.
    """
    truth = it.vendor.keys(it.entity)
    column = it.vendor.poison(it.entity, "bad_date")
    if column is None:
        # Pairs are built by our own fetch; a spoilt answer is then no bad record but a vendor that has changed.
        it.simulator.set_fault("malformed", path=it.vendor.path(it.entity), times=1, what="non_object")
        with pytest.raises(AnswerChanged):
            it.sync()
        assert it.rows() == {}
        return
    strict, entity = it.with_entity(severity={column: "reject"})
    result = it.sync(source=strict, entity=entity)
    assert (result.status, result.failed, result.created) == ("partial", 1, len(truth) - 1)
    (letter,) = it.letters()
    assert (letter["crm_source"], letter["sync_type"]) == (it.source.name, it.entity.name)
    assert (letter["sync_history_id"], letter["attempts"]) == (result.history_id, 1)
    assert column in letter["error_message"]
    assert {tuple(letter["record_key"].split())} == truth - it.rows().keys()
    check_history(it, result)

    before = it.rows()
    ((_, _, replayed),) = replay([it.source], url=it.url)
    assert (replayed.mode, replayed.created, replayed.failed) == ("replay", 1, 0)
    assert replayed.metrics["values_lost"][column] == {"lost": 1, "of": 1}
    assert it.rows().keys() == truth
    assert [row[column] for key, row in it.rows().items() if key not in before] == [None]
    assert before.items() <= it.rows().items()
    assert [one["id"] for one in it.letters("resolved")] == [letter["id"]]
    assert replay([it.source], url=it.url) == []


def test_force_overwrites_newer_local_value(it: World) -> None:
    """Without --force, whoever is newer wins; here somebody changed a row by hand and dated it in the future."""
    it.sync()
    before = it.rows()
    # Neither what a rule speaks of nor what may have to be unique, which is rather the first text than the last.
    ruled = {rule.column for rule in it.entity.rules}
    values: Any = {"text": "local", "integer": 4711, "timestamptz": datetime(2001, 1, 1, tzinfo=UTC)}
    values |= dict.fromkeys(("id", "email", "phone", "url"), "local") | {"uuid": uuid.UUID(int=4711)}
    own = {
        name: values[kind]
        for name, (kind, _) in it.entity.columns.items()
        if name not in (*it.entity.keys, it.entity.version, *ruled) and kind in values
    }
    if not own:
        return
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


def test_dry_run_changes_only_history(it: World) -> None:
    truth = it.vendor.keys(it.entity)
    on_nothing = it.sync(dry_run=True)
    assert (on_nothing.created, it.rows()) == (len(truth), {})
    it.sync()
    before = it.rows()
    it.vendor.poison(it.entity, "bad_date")
    it.vendor.edit(it.entity)
    it.vendor.delete(it.entity)
    result = it.sync(full=True, dry_run=True)
    assert result.created + result.updated + result.deleted + result.failed > 0
    assert it.rows() == before
    assert it.letters() == []
    assert [row["configuration"]["dry_run"] for row in it.history()] == [True, False, True]
    assert [row["configuration"]["cursor"] for row in it.history()][::2] == [None, None]
    check_history(it, result)


def test_skip_validation_still_rejects_null_key(it: World) -> None:
    truth = it.vendor.keys(it.entity)
    if it.vendor.poison(it.entity, "missing_id") is None:
        return
    result = it.sync(skip_validation=True)
    assert (result.status, result.failed, result.created) == ("partial", 1, len(truth) - 1)
    (letter,) = it.letters()
    assert (letter["rule"], letter["record_key"]) == ("key_missing", None)
    assert it.history()[-1]["configuration"]["skip_validation"] is True


def test_batch_size_sets_page_size(it: World) -> None:
    truth = it.vendor.keys(it.entity)
    it.sync(dry_run=True)
    sizes = it.simulator.requests()["page_sizes"]
    usual = it.entity.page_size or it.source.page_size
    assert str(usual) in sizes or it.vendor.fixed_size(it.entity)
    assert it.history()[-1]["configuration"]["batch_size"] == usual
    it.simulator.reset_counters()
    result = it.sync(batch_size=7)
    assert it.rows().keys() == truth
    assert (result.status, it.history()[-1]["configuration"]["batch_size"]) == ("success", 7)
    if not it.vendor.fixed_size(it.entity):
        assert it.simulator.requests()["page_sizes"]["7"] >= len(truth) / 7


def test_max_records_is_exact_and_leaves_the_cursor(it: World) -> None:
    wanted = max(1, len(it.vendor.keys(it.entity)) // 2)
    result = it.sync(max_records=wanted, batch_size=7)
    assert (result.processed, result.created, result.status) == (wanted, wanted, "success")
    assert result.cursor is None
    assert it.history()[-1]["configuration"]["cursor"] is None
    check_history(it, result)
    whole = it.sync()
    assert whole.mode == "full"
    assert it.living() == it.vendor.keys(it.entity)


def test_start_date_asks_from_that_day(it: World) -> None:
    today = datetime.now(UTC).date()
    start = datetime.combine(today - timedelta(days=1), datetime.min.time(), UTC)
    result = it.sync(start_date=start.date())
    if not it.entity.cursor:
        assert (result.mode, result.window.since) == ("full", None)
        return
    assert (result.mode, result.window.since) == ("start_date", start)
    assert all(start - timedelta(seconds=1) <= bound <= start for bound in it.vendor.bounds(it.entity))
    assert result.created >= 2
    assert all(row[it.entity.cursor] is None or row[it.entity.cursor] >= start for row in it.rows().values())
    assert result.cursor is None  # nothing is known of what lies before, so the next run reads everything
    assert it.sync().mode == "full"
    assert it.rows().keys() == it.vendor.keys(it.entity)


def test_flag_matrix(it: World) -> None:
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


def test_unexpected_empty_source_is_not_success(it: World) -> None:
    it.sync()
    before = it.rows()
    it.vendor.empty(it.entity)
    with pytest.raises(SuspiciousRead, match="--force"):
        it.sync(full=True)
    row = it.history()[-1]
    assert row["status"] == "failed"
    assert "SuspiciousRead" in row["error_message"]
    assert it.rows() == before
    result = it.sync(full=True, force=True)
    assert (result.status, result.deleted) == ("success", len(before))
    assert it.living() == set()


def test_a_window_that_comes_back_empty_buries_nothing(it: World) -> None:
    """A lost permission looks like this; so does a small customer's only call that was spam: doubt, till more comes."""
    first = it.sync()
    if it.entity.missing != "window":
        return
    before = it.rows()
    it.vendor.empty(it.entity)
    for _ in range(2):
        result = it.sync()
        assert (result.mode, result.status, result.deleted, result.cursor) == ("delta", "partial", 0, None)
        assert "--force" in str(result.reason)
        assert it.rows() == before
        check_history(it, result)
    created = it.vendor.create(it.entity)
    result = it.sync()
    since = result.window.since
    assert it.entity.cursor
    assert since is not None
    gone = {key for key, row in before.items() if row[it.entity.cursor] >= since}
    assert (result.status, result.deleted) == ("success", len(gone))
    assert gone
    assert created in it.living()
    assert it.sync(force=True).status == "success"
    assert first.created == len(before)
    assert it.living() == {created}


def test_an_empty_vendor_on_an_empty_table_is_a_success(it: World) -> None:
    """test_metrics_empty_run: nothing is divided by zero."""
    it.vendor.empty(it.entity)
    result = it.sync()
    assert (result.status, result.processed, result.calls > 0) == ("success", 0, True)
    check_history(it, result)


def test_killed_run_is_swept(it: World) -> None:
    """SIGKILL with the batch loaded and not committed: the table is as it was, and the next run repairs the rest."""
    it.sync()
    before = it.rows()
    it.vendor.edit(it.entity)
    it.vendor.create(it.entity)
    child = Child(it, wait=True, full=True)
    assert child.has_loaded() > 0
    child.send(signal.SIGKILL)
    assert it.rows() == before
    assert it.history()[-1]["status"] == "running"

    result = it.sync()
    assert result.status == "success"
    assert it.rows().keys() == it.vendor.keys(it.entity)
    killed, last = it.history()[-2:]
    assert (killed["status"], last["status"]) == ("failed", "success")
    assert "process died" in killed["error_message"]
    assert killed["end_time"] is not None

"""When the cursor moves, what makes a run partial, and what the history says of a run."""

import itertools
import json
import re
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from warehouse_pipelines import settings, warehouse
from warehouse_pipelines.errors import NotConfigured, RequestRefused, WrongUse
from warehouse_pipelines.loading import lease, resource, sync_history
from warehouse_pipelines.loading.options import Options, Purpose
from warehouse_pipelines.loading.sync import sync
from warehouse_pipelines.loading.warehouse_reader import WarehouseReader
from warehouse_pipelines.model.deletes import Deletes
from warehouse_pipelines.model.entity import Entity
from warehouse_pipelines.model.reading import ReadContext, ReadReport, Window
from warehouse_pipelines.model.source import Flag
from warehouse_pipelines.observability import logs
from warehouse_pipelines.queries import query
from warehouse_pipelines.sources import SOURCES
from warehouse_pipelines_tests.harness.fake_source import LOG, PAIR, THING, FakeSource, page, thing
from warehouse_pipelines_tests.harness.source_harness import looking, replayed
from warehouse_pipelines_tests.harness.subprocesses import eventually

OVERLAP = THING.cadence.overlap
WEEKLY = replace(THING, cadence=replace(THING.cadence, full_every=timedelta(days=7), never_full=""))
FLAGS = (
    Flag(name="colour", help="Only these.", entities=("things", "pairs"), narrows=True),
    Flag(name="at_once", help="So many at a time.", type="number", most=4),
    Flag(name="quickly", help="Faster.", type="switch"),
    Flag(name="begin", help="The first day.", stands_for="start_date"),
)


def test_only_a_flag_that_narrows_keeps_the_cursor_and_the_dead(fake: FakeSource) -> None:
    """And only where it concerns the entity; what does not concern it is not told to its fetch."""
    fake.sync([thing("a", 3), thing("b", 4)])
    flagged = replace(fake.source(), flags=FLAGS)
    fake.pages = [[thing("a", 5)]]
    fast = sync(flagged, THING, Options(full=True, vendor={"at_once": 4, "quickly": True}), url=fake.url)
    assert (fast.deleted, fast.watermark) == (1, january(5))
    fake.pages = [[thing("b", 6)]]
    some = sync(flagged, THING, Options(full=True, vendor={"colour": "red"}), url=fake.url)
    assert (some.deleted, some.watermark, some.status) == (0, None, "success")
    fake.pages = []
    none = sync(flagged, THING, Options(full=True, vendor={"colour": "no such"}), url=fake.url)
    assert (none.deleted, none.status) == (0, "success"), "nothing of that colour is no suspicion"
    assert [one.options.get("colour") for one in fake.asked] == [None, None, "red", "no such"]
    fake.pages = [[thing("b", 7)]]
    other = sync(flagged, LOG, Options(vendor={"colour": "red"}), url=fake.url)
    assert other.watermark == january(7)
    assert "colour" not in fake.asked[-1].options


def test_a_run_narrowed_by_a_flag_is_no_read_of_everything(fake: FakeSource) -> None:
    """Nor does it tell which columns the vendor fills."""
    flagged = replace(fake.source(), flags=FLAGS)
    full = Options(full=True)
    fake.pages = [[thing(n, 3, phone="5551234567") for n in range(30)]]
    sync(flagged, WEEKLY, full, url=fake.url)
    with warehouse.connect(fake.url) as session:
        last = sync_history.last_good(session, flagged, WEEKLY)
        values = sync_history.last_values(session, flagged, WEEKLY, "full")
        assert last is not None
        assert last.full_time == last.full_tried is not None
        fake.pages = [[thing(n, 4) for n in range(30)]]
        sync(flagged, WEEKLY, replace(full, vendor={"colour": "red"}), url=fake.url)
        assert [row["configuration"]["narrowed"] for row in fake.history()] == [False, True]
        assert sync_history.last_good(session, flagged, WEEKLY) == last
        assert sync_history.last_values(session, flagged, WEEKLY, "full") == values
        sync(flagged, WEEKLY, full, url=fake.url)
        later = sync_history.last_good(session, flagged, WEEKLY)
    assert later is not None
    assert later.full_tried == later.full_time != last.full_time


@pytest.mark.parametrize(
    ("vendor", "says"),
    [
        ({"size": 1}, "Fake has no flag size of its own; it has colour, at_once, quickly"),
        ({"begin": "2024-01-01"}, "no flag begin"),
        ({"at_once": 5}, "at_once is 5; it must be a number from 1 to 4"),
        ({"at_once": True}, "at_once is True"),
        ({"quickly": "yes"}, "quickly is 'yes'; it must be true or false"),
        ({"colour": ""}, "colour is ''; it must be a text"),
    ],
)
def test_a_flag_that_cannot_be_used_says_why(fake: FakeSource, vendor: dict[str, Any], says: str) -> None:
    with pytest.raises(WrongUse, match=re.escape(says)):
        sync(replace(fake.source(), flags=FLAGS), THING, Options(vendor=vendor), url=fake.url)
    assert fake.asked == []


def test_no_cursor_is_our_own_clock() -> None:
    """A filter at the vendor by the time at which we loaded would mean nothing."""
    for source in SOURCES:
        for entity in source.entities:
            assert not (entity.cursor or "").startswith("sync_")


@pytest.fixture
def fake(bare_url: str, monkeypatch: pytest.MonkeyPatch) -> FakeSource:
    monkeypatch.setattr(resource, "CHUNK", 1)
    return FakeSource(bare_url)


def test_a_run_that_fails_says_so_in_the_log(fake: FakeSource, caplog: pytest.LogCaptureFixture) -> None:
    def fail() -> None:
        raise RequestRefused("400")

    with pytest.raises(RequestRefused):
        fake.sync(fail)
    (told,) = (one for one in caplog.records if one.name == "warehouse.sync" and one.levelname == "ERROR")
    assert "fake things" in told.getMessage()


def test_a_value_that_is_lost_and_a_record_that_is_refused_are_logged_with_what_was_asked(
    fake: FakeSource, caplog: pytest.LogCaptureFixture
) -> None:
    """In the shapes that people search for, and without what may be a name."""
    fake.sync([thing("a", amount="Ann"), thing("b", size="many")], full=True)
    said = {one.getMessage(): one for one in caplog.records if one.levelname in ("WARNING", "ERROR")}
    assert [message.partition(" - ")[0] for message in said] == [
        "Failed to parse number value: '***' in field 'size' for fake b",
        "Failed to parse number value: '***' in field 'amount' for fake a",
        "Error processing things b: size: not a number",
    ]
    error = list(said.values())[-1]
    assert vars(error)["error_type"] == "BadRecord"
    assert vars(error)["configuration"] == fake.history()[-1]["configuration"] | {"cursor": None}


def test_a_row_of_a_run_that_goes_on_says_how_far_it_is_and_is_written_no_more_often_than_that_changes(
    fake: FakeSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its counts stay 0 until it is closed, so nobody sums up what was not loaded."""
    monkeypatch.setattr(lease, "RENEW_SECONDS", 0.05)
    seen: list[dict[str, Any]] = []

    def shown() -> dict[str, Any]:
        rows = looking(fake.url).execute(query("api_sync"), {"run_id": "one"}).fetchall()
        return dict(rows[0])

    def renewed() -> datetime:
        moment = looking(fake.url).execute("SELECT renewed_at AS at FROM orchestration.entity_lease").fetchall()
        found: datetime = moment[0]["at"]
        return found

    def look() -> None:
        eventually(lambda: shown()["records_processed"], "it is told how many were read")
        row = "SELECT xmin::text, records_processed FROM orchestration.sync_history"
        before, at = looking(fake.url).execute(row).fetchall(), renewed()
        eventually(lambda: renewed() > at + timedelta(seconds=0.15), "the lease is renewed")
        assert looking(fake.url).execute(row).fetchall() == before
        assert before[0]["records_processed"] == 0
        seen.append(shown())

    fake.sync([thing("a")], [thing("b")], look, [thing("c")], run_id="one")
    assert [(one["status"], one["records_processed"], one["records_created"]) for one in seen] == [("running", 1, 0)]
    assert (shown()["status"], shown()["records_processed"], shown()["records_created"]) == ("success", 3, 3)


def test_a_read_that_yields_nothing_for_long_says_that_it_goes_on(
    fake: FakeSource, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """As where a source folds a whole feed, or waits for a query, before its first page."""
    monkeypatch.setattr(logs, "PROGRESS_SECONDS", 0.1)
    caplog.set_level("INFO", "warehouse.sync")

    def wait(context: ReadContext) -> None:
        context.calls = 7
        eventually(lambda: "still reading" in caplog.text, "it says that it goes on")

    fake.before = wait
    fake.sync([thing("a")])
    assert "fake things: still reading, 7 requests; 0 of an unknown number of records so far" in caplog.text


def january(day: int) -> datetime:
    return datetime(2024, 1, day, tzinfo=UTC)


def test_the_cursor_is_the_source_s_high_water_mark(fake: FakeSource) -> None:
    """The newest of all batches; a delta that finds nothing keeps it; what is undated does not move it."""
    assert fake.sync([thing("a", 3)], [thing("b", 9), thing("c", 5)]).watermark == january(9)
    assert fake.sync().watermark == january(9)
    assert fake.asked[-1].window.since == january(9) - OVERLAP
    assert fake.sync([thing("d") | {"at": None}]).watermark == january(9)
    assert fake.sync([thing("a", 11)]).watermark == january(11)
    assert [row["configuration"]["cursor"] for row in fake.history()] == [
        january(day).isoformat() for day in (9, 9, 9, 11)
    ]


def test_a_clock_that_is_ahead_does_not_hide_what_comes(fake: FakeSource) -> None:
    ahead = {"id": "a", "at": (datetime.now(UTC) + timedelta(hours=3)).isoformat()}
    result = fake.sync([ahead])
    assert result.watermark == result.window.until
    fake.sync()
    since = fake.asked[-1].window.since
    assert since is not None
    assert since < datetime.now(UTC)


SENTINELS = ("9999-12-31T23:59:59.999999Z", "9999-12-31T00:00:00Z", "9999-01-01T00:00:00Z")


def test_a_date_that_means_never_is_loaded_and_is_no_cursor(fake: FakeSource) -> None:
    """By a full read and by a delta; the next delta begins at the newest date at which something did change."""
    never = [{"id": str(n), "at": at} for n, at in enumerate(SENTINELS)]
    result = fake.sync([thing("a", 3), *never])
    assert (result.created, result.filtered, result.status, result.watermark) == (4, 0, "success", january(3))
    assert str(fake.row("0")["at"]) == "9999-12-31 23:59:59.999999+00:00"
    result = fake.sync([*never, {"id": "new", "at": SENTINELS[0]}, thing("b", 5)])
    assert (result.mode, result.created, result.unchanged, result.filtered) == ("delta", 2, 3, 0)
    assert result.watermark == january(5)
    result = fake.sync([thing("a", 3), thing("b", 5), *never], full=True)
    assert (result.filtered, result.deleted, result.watermark) == (0, 1, january(5))


def test_where_every_date_lies_ahead_everything_is_read_again(fake: FakeSource) -> None:
    assert fake.sync([{"id": "a", "at": SENTINELS[0]}]).watermark is None
    assert fake.sync([{"id": "a", "at": SENTINELS[0]}]).mode == "full"


def test_a_schedule_moves_the_cursor_to_what_is_past(fake: FakeSource) -> None:
    planned = replace(THING, cadence=replace(THING.cadence, lookback=timedelta(days=60), lookahead=timedelta(days=365)))
    soon = {"id": "soon", "at": (datetime.now(UTC) + timedelta(days=90)).isoformat()}
    result = fake.sync([thing("a", 3), soon, {"id": "never", "at": SENTINELS[0]}], entity=planned)
    assert (result.created, result.filtered, result.watermark) == (3, 0, january(3))
    result = fake.sync([soon], entity=planned)
    assert (result.mode, result.unchanged, result.filtered) == ("delta", 1, 0)
    assert result.window.since == january(3) - OVERLAP


def test_a_date_that_means_never_gives_way_to_a_true_one(fake: FakeSource) -> None:
    """Only newer wins, and what lies ahead is no time of an edit."""
    fake.sync([{"id": "a", "at": SENTINELS[1], "size": 1}])
    assert fake.sync([thing("a", 3, size=2)]).updated == 1
    assert fake.row("a")["size"] == 2
    assert fake.sync([thing("a", 2, size=3)]).updated == 0


def test_a_full_read_that_leaves_records_out_says_so(fake: FakeSource, monkeypatch: pytest.MonkeyPatch) -> None:
    """None is left out today; if one ever is, the run is no success and its watermark stays."""
    assert fake.sync([thing("a", 3), thing("a", 2)]).status == "success", "the same key twice is no loss"
    monkeypatch.setattr(resource, "END", january(4))
    result = fake.sync([thing("a", 3), thing("b", 5)], full=True)
    assert (result.status, result.filtered, result.watermark) == ("partial", 1, None)
    assert "1 of 2 records were read and not loaded" in str(result.reason)


def test_a_delta_that_loses_a_record_on_its_way_says_so(fake: FakeSource, monkeypatch: pytest.MonkeyPatch) -> None:
    """What lies outside of the window is told from what is lost: the one is left out on purpose."""
    monkeypatch.setattr(resource, "CHUNK", 5)
    fake.sync([thing("a", 9)])
    good = fake.sync([thing("a", 8), {**thing("b"), "at": None}, thing("c", 9)], [thing("d", 1)])
    assert (good.status, good.created, good.filtered, good.metrics["outside_window"]) == ("success", 2, 2, 2)
    bound = resource.bound
    monkeypatch.setattr(resource, "bound", lambda *given: bound(*given).add_map(lambda table: table.slice(1)))
    lost = fake.sync([thing("e", 10), thing("f", 11)], [thing("d", 1)])
    assert (lost.status, lost.created, lost.filtered, lost.watermark) == ("partial", 1, 2, None)
    assert "2 of 3 records were read and not loaded, and 1 are outside of the window" in str(lost.reason)


def test_nothing_dated_leaves_the_next_run_full(fake: FakeSource) -> None:
    assert fake.sync().watermark is None
    assert fake.sync([thing("a") | {"at": None}]).mode == "full"
    assert fake.sync([thing("a")]).mode == "full"
    assert fake.sync([thing("a")]).mode == "delta"


def test_a_partial_run_moves_the_cursor_when_its_failures_are_dead_letters(fake: FakeSource) -> None:
    """One bad record must not pin the window for ever, and every failed record is kept."""
    result = fake.sync([thing("a", 2), thing("b", 5, size="big"), thing("c", 3)])
    assert (result.status, result.failed, result.watermark) == ("partial", 1, january(3))
    assert fake.sync([thing("a", 6)]).mode == "delta"
    with psycopg.connect(fake.url) as connection:
        unkept = connection.execute("""
            SELECT count(*) FROM orchestration.sync_history h WHERE h.status = 'partial' AND h.records_failed <>
                (SELECT count(*) FROM orchestration.dead_letter d WHERE d.sync_history_id = h.id)
        """).fetchone()
    assert unkept == (0,)


def test_a_failed_run_moves_nothing(fake: FakeSource) -> None:
    fake.sync([thing("a", 2)])

    def fail() -> None:
        raise RequestRefused("no")

    with pytest.raises(RequestRefused):
        fake.sync([thing("b", 9)], fail)
    assert fake.rows().keys() == {("a",)}
    row = fake.history()[-1]
    assert (row["status"], row["error_message"], row["configuration"]["cursor"]) == (
        "failed",
        "RequestRefused: no",
        None,
    )
    assert row["end_time"] is not None
    fake.sync()
    assert fake.asked[-1].window.since == january(2) - OVERLAP


def test_watermarks_do_not_leak_between_entities(fake: FakeSource) -> None:
    """Neither to another entity nor to an entity of the same name in another CRM."""
    fake.sync([thing("a", 9)])
    assert fake.sync([thing("a", 1)], entity=LOG).mode == "full"
    fake.sync(entity=THING)
    assert fake.asked[-1].window.since == january(9) - OVERLAP
    other = replace(fake.source(), name="other")
    fake.pages = [[thing("a", 3)]]
    assert sync(other, THING, Options(), url=fake.url).mode == "full"


def test_a_backfill_loads_its_window_and_leaves_the_cursor(fake: FakeSource) -> None:
    fake.sync([thing("new", 20)])
    window = Window(january(3), january(5))
    result = fake.sync([thing("a", 2), thing("b", 3), thing("c", 4), thing("d", 5)], purpose=Purpose.backfill(window))
    assert (result.mode, result.created, result.filtered, result.watermark) == ("backfill", 2, 2, None)
    assert fake.rows().keys() == {("new",), ("b",), ("c",)}
    fake.sync()
    assert fake.asked[-1].window.since == january(20) - OVERLAP


def fresh() -> Iterator[list[dict[str, Any]]]:
    """Pages of an endless list that never repeats."""
    for n in itertools.count():
        yield [thing(f"new {n} {m}", 9) for m in range(3)]


@pytest.mark.parametrize("full", [True, False])
def test_a_source_that_proves_that_nothing_changed_loses_nothing(fake: FakeSource, full: bool) -> None:
    fake.sync([thing("a", 3)], [thing("b", 4)])
    fake.report = ReadReport(changes_only=True)
    result = fake.sync(full=full)
    assert (result.status, result.processed, result.deleted) == ("success", 0, 0)
    assert not any(row["archived"] for row in fake.rows().values())
    fake.report = ReadReport()
    fake.sync()
    assert fake.asked[-1].window.since == january(4) - OVERLAP


def test_a_source_that_cannot_prove_that_it_read_all_buries_nothing(fake: FakeSource) -> None:
    fake.sync([thing("a", 3)], [thing("b", 4)])
    fake.report = ReadReport(unproven="the vendor shows no more")
    result = fake.sync([thing("a", 3)], [thing("c", 5)], full=True)
    assert (result.status, result.reason, result.created, result.deleted) == (
        "partial", "the vendor shows no more", 1, 0,
    )  # fmt: skip
    assert result.watermark is None
    assert fake.sync([thing("a", 3)], full=True, max_records=1).status == "success"
    fake.report = ReadReport()
    assert fake.sync([thing("a", 3)], [thing("c", 5)], full=True).deleted == 1


REMEMBERED = replace(PAIR, state_based=True, deletes=Deletes(deleted_values={"label": "cancelled"}))
PAIRS = [{"one": "a", "two": 1, "label": "x"}, {"one": "b", "two": 2, "label": "y"}]


def told(fake: FakeSource, changes_only: bool = False, **left: str) -> None:
    """Let the next read say that it leaves this state, and whether it was one of changes."""
    fake.report = ReadReport(next_state=left, changes_only=changes_only)


def test_what_a_good_run_left_is_given_to_the_next(fake: FakeSource) -> None:
    told(fake, token="1")
    assert fake.sync(PAIRS, entity=REMEMBERED).mode == "full"
    told(fake, changes_only=True, token="2")
    result = fake.sync([{"one": "a", "two": 1, "label": "z"}], entity=REMEMBERED)
    assert (result.mode, result.status, result.updated, result.deleted) == ("delta", "success", 1, 0)
    assert result.total_rows == 2
    fake.report = ReadReport(changes_only=True)
    assert fake.sync(entity=REMEMBERED).mode == "delta"
    assert [dict(asked.state) for asked in fake.asked] == [{}, {"token": "1"}, {"token": "2"}]
    fake.sync(entity=REMEMBERED)
    assert fake.asked[-1].state == {"token": "2"}


@pytest.mark.parametrize("flags", [{"full": True}, {"force": True}, {"start_date": date(2024, 1, 1)}], ids=str)
def test_a_run_that_reads_everything_is_told_nothing(fake: FakeSource, flags: dict[str, Any]) -> None:
    told(fake, token="1")
    fake.sync(PAIRS, entity=REMEMBERED)
    fake.sync(PAIRS, entity=REMEMBERED, **flags)
    assert fake.asked[-1].state == {}


def test_a_run_that_failed_or_was_limited_leaves_no_state(fake: FakeSource) -> None:
    """A fetch in doubt decides what it leaves: one of three calendars must not cost the others their token."""
    told(fake, token="1")
    fake.sync(PAIRS, entity=REMEMBERED)
    told(fake, changes_only=True, token="2")
    fake.sync(entity=REMEMBERED, dry_run=True)
    fake.sync(PAIRS, entity=REMEMBERED, max_records=1)
    fake.report = ReadReport(next_state={"token": "3"}, changes_only=True, unproven="cannot prove it")
    assert fake.sync(entity=REMEMBERED).status == "partial"
    with pytest.raises(Exception, match="division"):
        fake.sync(lambda: 1 / 0, entity=REMEMBERED)
    told(fake)
    fake.sync(PAIRS, entity=REMEMBERED)
    assert [asked.state["token"] for asked in fake.asked[1:]] == ["1", "1", "1", "3", "3"]


def test_an_account_whose_tables_were_made_again_is_read_from_the_start(fake: FakeSource) -> None:
    """As by going down past the revision of accounts and up: its history is there, and its rows are not."""
    west = replace(fake.source(), name="fake_west", vendor="fake", account="west")

    def sync_west(entity: Entity, *shown: dict[str, Any]) -> Any:
        fake.pages = [list(shown)]
        told(fake, token="1")
        return sync(west, entity, Options(), url=fake.url)

    sync_west(WEEKLY, thing("a", 3), thing("b", 4))
    sync_west(REMEMBERED, *PAIRS)
    with psycopg.connect(fake.url, autocommit=True) as connection:
        connection.execute("TRUNCATE fake_thing, fake.pair")
        connection.execute("INSERT INTO orchestration.account (source, crm, name) VALUES ('fake_west', 'fake', 'west')")
    again = sync_west(WEEKLY, thing("a", 3), thing("b", 4))
    assert (again.mode, again.created, again.total_rows) == ("full", 2, 2)
    sync_west(REMEMBERED, *PAIRS)
    assert fake.asked[-1].state == {}
    assert sync_west(WEEKLY, thing("b", 5)).mode == "delta"
    assert fake.asked[-1].window.since == january(4) - OVERLAP


def test_a_deleted_row_says_so_in_the_words_of_its_vendor(fake: FakeSource) -> None:
    fake.entity = REMEMBERED
    fake.sync(PAIRS, entity=REMEMBERED)
    assert fake.sync(PAIRS[:1], entity=REMEMBERED).deleted == 1
    assert fake.row("b", "2")["label"] == "cancelled"
    assert fake.sync(PAIRS, entity=REMEMBERED).restored == 1
    assert fake.row("b", "2")["label"] == "y"


def test_a_word_of_the_vendor_may_be_its_flag_of_deletion(fake: FakeSource) -> None:
    fake.entity = flagged = replace(PAIR, deletes=Deletes(flag="label=cancelled"))
    result = fake.sync([*PAIRS, {"one": "c", "two": 3, "label": "cancelled"}, {"one": "d", "two": 4}], entity=flagged)
    assert (result.created, result.deleted) == (4, 1)
    assert [key for key, row in sorted(fake.rows().items()) if row["archived"]] == [("c", "3")]


def test_stored_records_are_found_by_several_columns(fake: FakeSource) -> None:
    fake.sync(PAIRS, entity=PAIR)
    with WarehouseReader(fake.url) as known:
        assert [*known.records(PAIR.table, ["a 1", "b 1"], "one two")] == ["a 1"]


def test_a_source_may_ask_for_the_living_keys_of_a_window(fake: FakeSource) -> None:
    fake.sync([thing("a", 3), thing("b", 4), thing("c", 5), thing("gone", 4)])
    fake.sync([thing("a", 3), thing("b", 4), thing("c", 5)], full=True)
    with WarehouseReader(fake.url) as known:
        window = Window(january(4), january(5))
        assert [*known.keys_in(THING, window)] == [("b",)]
        assert sorted(known.keys_in(THING, Window(None, window.until))) == [("a",), ("b",), ("c",)]
    fake.entity = PAIR
    fake.sync(PAIRS)
    with WarehouseReader(fake.url) as known:
        assert ("a", "1") in [*known.keys_in(PAIR, window)], "all, without a cursor"


def test_everything_is_read_anew_when_the_last_time_is_long_ago(fake: FakeSource) -> None:
    weekly = WEEKLY
    assert fake.sync([thing("a", 3)], [thing("b", 4)], entity=weekly).mode == "full"
    assert fake.sync(entity=weekly).mode == "delta"
    with psycopg.connect(fake.url) as connection:
        connection.execute("UPDATE orchestration.sync_history SET start_time = start_time - interval '8 days'")
    result = fake.sync([thing("a", 3)], entity=weekly)
    assert (result.mode, result.deleted) == ("full", 1)
    assert fake.sync(entity=weekly).mode == "delta"


def test_a_read_that_a_limit_stops_has_no_report(fake: FakeSource) -> None:
    fake.entity = PAIR
    fake.sync(PAIRS)
    fake.report = ReadReport(changes_only=True, deleted_keys=["b 2"], unproven="cannot prove it")
    result = fake.sync(PAIRS, max_records=1)
    assert (result.status, result.reason, result.deleted, result.mode) == ("success", None, 0, "full")
    result = fake.sync(PAIRS[:1])
    assert (result.status, result.reason, result.deleted) == ("partial", "cannot prove it", 1)


def test_a_figure_on_a_page_is_kept_where_the_report_never_comes(fake: FakeSource) -> None:
    fake.sync(page(thing("a"), thing("b"))._replace(reported=7), max_records=1)
    metrics = fake.history()[-1]["performance_metrics"]
    assert (metrics["vendor_reported"], metrics["vendor_trusted"]) == (7, False)


def test_a_fetch_that_forgets_its_report_is_an_error(fake: FakeSource) -> None:
    fake.report = None  # type: ignore[assignment]
    with pytest.raises(Exception, match="fetch of fake_thing returned None and no ReadReport"):
        fake.sync([thing("a")])
    assert fake.rows() == {}


def test_a_source_may_ask_for_the_records_that_are_stored(fake: FakeSource) -> None:
    fake.sync([thing("a", 3, name="first"), thing("b", 4)])
    found: dict[str, bytes] = {}
    fake.before = lambda context: found.update(context.known.records("fake_thing", ["a", "z"]))
    fake.sync()
    assert list(found) == ["a"]
    assert json.loads(found["a"])["name"] == "first"


@pytest.mark.parametrize("full", [True, False])
def test_safety_limit_is_partial(fake: FakeSource, monkeypatch: pytest.MonkeyPatch, full: bool) -> None:
    """It is never a success; what was read stays, and a read that did not end proves nothing missing."""
    fake.sync([thing("a", 3), thing("b", 4)])
    monkeypatch.setenv("WAREHOUSE_SAFETY_LIMIT", "10")
    fake.before = lambda context: setattr(fake, "pages", fresh())
    result = fake.sync(full=full)
    assert (result.status, result.created, result.deleted, result.watermark) == ("partial", 12, 0, None)
    assert str(result.reason).startswith("safety_limit: ")
    row = fake.history()[-1]
    assert (row["status"], row["configuration"]["cursor"]) == ("partial", None)
    assert row["performance_metrics"]["partial_reason"] == row["error_message"] == result.reason
    assert not any(row["archived"] for row in fake.rows().values())
    fake.before = lambda context: None
    fake.sync()
    assert fake.asked[-1].window.since == january(4) - OVERLAP


def test_a_window_that_did_not_end_buries_nothing(fake: FakeSource, monkeypatch: pytest.MonkeyPatch) -> None:
    log, now = FakeSource(fake.url, LOG), datetime.now(UTC).isoformat()
    log.sync([{"id": "a", "at": now}, {"id": "b", "at": now}])
    monkeypatch.setenv("WAREHOUSE_SAFETY_LIMIT", "1")
    result = log.sync([{"id": "a", "at": now}], [{"id": "c", "at": now}])
    assert (result.mode, result.status, result.processed, result.deleted) == ("delta", "partial", 1, 0)


def test_pages_without_records_end_too(fake: FakeSource, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WAREHOUSE_SAFETY_LIMIT", "10")
    fake.before = lambda context: setattr(fake, "pages", itertools.repeat([]))
    assert str(fake.sync().reason).startswith("safety_limit: ")


def test_a_read_that_ends_at_the_safety_limit_is_complete(fake: FakeSource, monkeypatch: pytest.MonkeyPatch) -> None:
    """And --max-records is no such limit: whoever gave it wanted no more."""
    monkeypatch.setenv("WAREHOUSE_SAFETY_LIMIT", "4")
    assert fake.sync([thing(1), thing(2)], [thing(3), thing(4)]).status == "success"
    fake.before = lambda context: setattr(fake, "pages", fresh())
    assert fake.sync(max_records=4).status == "success"


@pytest.mark.parametrize("wrong", ["0", "-1", "many"])
def test_a_safety_limit_that_cannot_be_used_is_named(
    fake: FakeSource, monkeypatch: pytest.MonkeyPatch, wrong: str
) -> None:
    monkeypatch.setenv("WAREHOUSE_SAFETY_LIMIT", wrong)
    with pytest.raises(NotConfigured, match="WAREHOUSE_SAFETY_LIMIT"):
        fake.sync()


def test_what_was_not_asked_by_the_window_passes_it(fake: FakeSource) -> None:
    fake.sync([thing("a", 20)])
    result = fake.sync([thing("b", 1)], page(thing("c", 1), in_window=False))
    assert (result.created, result.filtered) == (1, 1)
    assert ("c",) in fake.rows()


def test_lifecycle_order(fake: FakeSource) -> None:
    """First the history row, then fetch, load, close and cleanup; also when the run fails, nothing is left open."""
    seen: list[Any] = []

    def look(context: ReadContext) -> None:
        (row,) = [row for row in fake.history() if row["status"] == "running"]
        seen.append((row["end_time"], row["configuration"]["mode"], row["run_id"]))

    def fail() -> None:
        raise RequestRefused("no")

    fake.before = look
    fake.sync([thing("a")], run_id="a-run")
    with pytest.raises(RequestRefused):
        fake.sync([thing("b")], fail)
    assert seen == [(None, "full", "a-run"), (None, "delta", None)]
    with psycopg.connect(fake.url, autocommit=True) as connection:
        others = (
            "datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid() "
            "AND application_name <> 'a test that looks on'"
        )
        busy = f"""
            SELECT count(*) FROM pg_stat_activity AS s WHERE {others} AND (application_name = 'warehouse-loader'
                OR state <> 'idle' OR EXISTS (SELECT FROM pg_locks AS l WHERE l.pid = s.pid))
        """

        def quiet() -> bool:
            return connection.execute(busy).fetchone() == (0,)

        eventually(quiet, "the loader's sessions are closed, those that are kept hold no lock")
        warehouse.close_kept()
        all_closed = f"SELECT count(*) = 0 FROM pg_stat_activity WHERE {others}"
        eventually(lambda: connection.execute(all_closed).fetchone() == (True,), "no other session was opened")
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("read-")]


def test_an_unexpected_error_closes_the_row_too(fake: FakeSource) -> None:
    def fail() -> None:
        raise ZeroDivisionError("division by zero")

    with pytest.raises(Exception, match="division by zero"):
        fake.sync(fail)
    assert fake.history()[-1]["status"] == "failed"


def test_what_a_source_measures_is_in_the_metrics_of_every_run(
    fake: FakeSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A replay asks nobody, and its history row has the figure all the same."""
    source = replace(fake.source(), measures=("bytes_scanned",))
    monkeypatch.setattr(fake, "source", lambda: source)
    fake.sync([thing("a")])
    fake.before = lambda reading: reading.measured.update(bytes_scanned=7, rows_seen=2)
    fake.sync([thing("b", size="big")])
    with pytest.raises(Exception, match="division by zero"):
        fake.sync(lambda: 1 / 0)
    assert replayed([source], fake.url)
    figures = [row["performance_metrics"] for row in fake.history()]
    assert [figure["bytes_scanned"] for figure in figures] == [0, 7, 7, 0]
    assert figures[1]["rows_seen"] == 2


def test_a_source_without_settings_asks_nothing(
    database_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    source = SOURCES[0]
    for name in ("HUBSPOT_ACCESS_TOKEN", "HUBSPOT_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(settings, "env_file", lambda: tmp_path / ".env")
    with pytest.raises(NotConfigured, match="HUBSPOT_ACCESS_TOKEN"):
        sync(source, source.entities[0], Options(), url=database_url)


def test_state_survives_wiped_workdir(fake: FakeSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """There is nothing to wipe; dlt keeps no state, and the cursor lies in the history."""
    monkeypatch.setenv("DLT_DATA_DIR", str(tmp_path / "dlt"))
    monkeypatch.setenv("HOME", str(tmp_path))
    fake.sync([thing("a", 3)])
    assert list(tmp_path.rglob("*")) == []
    assert fake.sync().mode == "delta"


def test_the_rows_of_the_table_are_counted_or_reckoned_alike(fake: FakeSource) -> None:
    """A delta reckons from the last run's figures, a whole read counts; both are true."""
    cases: tuple[tuple[list[Any], dict[str, Any]], ...] = (
        ([[thing("a"), thing("b"), thing("c", removed=True)]], {}),
        ([[thing("d", 2)], page(thing("a", 2, removed=True), in_window=False)], {}),
        ([page(thing("a", 3), in_window=False)], {}),
        ([[thing("d", 4, absorbed="b")]], {}),
        ([[thing("d", 4, absorbed="b")], [thing("a", 3)]], {"full": True}),
    )
    for pages, flags in cases:
        result = fake.sync(*pages, **flags)
        rows = fake.rows().values()
        assert result.total_rows == len(rows)
        assert result.metrics["living_rows"] == sum(not row["archived"] for row in rows)

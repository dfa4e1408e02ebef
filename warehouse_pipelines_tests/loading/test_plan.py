"""What a run asks for: the strategy, its window, and whether it moves the watermark."""

from collections import Counter
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from warehouse_pipelines.loading.options import Options, Purpose
from warehouse_pipelines.loading.plan import plan
from warehouse_pipelines.loading.sync_history import LastGood
from warehouse_pipelines.model.cadence import Cadence
from warehouse_pipelines.model.entity import Entity
from warehouse_pipelines.model.reading import Window
from warehouse_pipelines.sources import SOURCES
from warehouse_pipelines_tests.harness.fake_source import LOG, PAIR, THING

NOW = datetime(2024, 6, 1, 12, tzinfo=UTC)
CURSOR = datetime(2024, 5, 31, 10, tzinfo=UTC)
LAST = LastGood(CURSOR, CURSOR + timedelta(minutes=1))
DAY = date(2024, 5, 20)
MIDNIGHT = datetime(2024, 5, 20, tzinfo=UTC)
OVERLAP = THING.cadence.overlap


@pytest.mark.parametrize(
    ("flags", "last", "mode", "since"),
    [
        ({"full": True, "start_date": DAY}, LAST, "full", None),
        ({"start_date": DAY}, LAST, "start_date", MIDNIGHT),
        ({}, LAST, "delta", CURSOR - OVERLAP),
        ({}, None, "full", None),
        ({"force": True}, LAST, "full", None),
        ({"force": True, "start_date": DAY}, LAST, "start_date", MIDNIGHT),
        ({"full": True, "force": True, "start_date": DAY}, LAST, "full", None),
    ],
)
def test_strategy_precedence(flags: dict[str, Any], last: LastGood | None, mode: str, since: datetime | None) -> None:
    """The window begins by --full, then --start-date, then the last good run, then everything."""
    planned = plan(THING, Options(**flags), last, NOW)
    assert (planned.mode, planned.window) == (mode, Window(since, NOW))


def test_a_delta_begins_no_later_than_the_last_run_did() -> None:
    """A record that was edited during that run may be older than the newest one that it read."""
    late = LastGood(CURSOR + timedelta(hours=1), CURSOR)
    assert plan(THING, Options(), late, NOW).window.since == CURSOR - OVERLAP


def test_a_lookback_reads_a_stretch_again() -> None:
    assert plan(LOG, Options(), LAST, NOW).window.since == NOW - LOG.cadence.lookback
    old = LastGood(NOW - timedelta(days=90), NOW)
    assert plan(LOG, Options(), old, NOW).window.since == NOW - timedelta(days=90) - OVERLAP


def test_a_schedule_is_asked_for_ahead_of_now() -> None:
    ahead = replace(THING, cadence=replace(THING.cadence, lookahead=timedelta(days=365)))
    for flags in ({}, {"full": True}, {"start_date": DAY}):
        assert plan(ahead, Options(**flags), LAST, NOW).window.until == NOW + timedelta(days=365)


WEEKLY = replace(THING, cadence=replace(THING.cadence, full_every=timedelta(days=7), never_full=""))


@pytest.mark.parametrize(
    ("full_time", "mode"),
    [
        (None, "full"),
        (WEEKLY.full_due(NOW) - timedelta(seconds=1), "full"),
        (WEEKLY.full_due(NOW) + timedelta(seconds=1), "delta"),
    ],
)
def test_a_delta_reads_everything_when_that_is_due(full_time: datetime | None, mode: str) -> None:
    last = LastGood(LAST.watermark, LAST.start_time, full_time, full_time)
    planned = plan(WEEKLY, Options(), last, NOW)
    assert (planned.mode, planned.complete_range is not None) == (mode, mode == "full")
    assert plan(WEEKLY, Options(start_date=DAY), last, NOW).mode == "start_date"


def test_a_read_of_everything_that_failed_is_tried_again_but_not_each_time() -> None:
    """Meanwhile the deltas go on: what is new does not wait until somebody has looked at a suspicious read."""
    before = WEEKLY.full_due(NOW) - timedelta(days=1)
    later = 4 * WEEKLY.cadence.every
    for tried, mode in ((NOW - later, "full"), (NOW - later + timedelta(minutes=1), "delta")):
        assert plan(WEEKLY, Options(), LastGood(CURSOR, CURSOR, before, tried), NOW).mode == mode


def test_everything_is_due_once_in_each_period_and_at_a_moment_of_the_table() -> None:
    due = {WEEKLY.full_due(NOW + timedelta(hours=hours)) for hours in range(4 * 7 * 24)}
    first, *others = sorted(due)
    assert [one - first for one in others] == [timedelta(days=7 * n) for n in range(1, len(due))]
    assert len(due) in (4, 5)
    assert all(WEEKLY.full_due(one) == one for one in due)
    assert replace(WEEKLY, table="another").full_due(NOW) != WEEKLY.full_due(NOW)


def test_reads_of_everything_are_spread_over_the_day() -> None:
    """Loaded for the first time in one night, they would all fall due together ever after."""
    entities = [entity for source in SOURCES for entity in source.entities if entity.cadence.full_every]
    hours = Counter(entity.full_due(NOW).hour for entity in entities)
    assert len(entities) > 50
    assert max(hours.values()) <= len(entities) / 8
    assert len(hours) >= 18


def test_a_cursor_that_never_sees_a_deletion_must_say_why() -> None:
    with pytest.raises(ValueError, match="fake_thing: a cursor without full_every"):
        replace(THING, cadence=Cadence())
    assert replace(THING, cadence=Cadence(full_every=timedelta(days=1))).unseen_for == timedelta(days=1, hours=1)
    assert THING.unseen_for is None


@pytest.mark.parametrize(
    "entity", [entity for source in SOURCES for entity in source.entities], ids=lambda entity: str(entity.table)
)
def test_no_deleted_record_lives_on(entity: Entity) -> None:
    """Without a trace at the vendor, a deletion is seen within a week, and of people whom it may erase within a day."""
    assert entity.unseen_for is not None
    people = entity.table in ("hubspot_contact", "hubspot_appointment", "salesrabbit_lead", "genius_lead")
    assert entity.unseen_for <= entity.cadence.every + timedelta(days=1 if people else 7)


def test_a_vendor_is_not_asked_beyond_its_memory() -> None:
    short = replace(THING, cadence=replace(THING.cadence, retention=timedelta(days=10)))
    oldest = NOW - timedelta(days=10)
    assert plan(short, Options(start_date=DAY), LAST, NOW).window.since == oldest
    old = Window(NOW - timedelta(days=30), NOW - timedelta(days=20))
    assert plan(short, Options(), LAST, NOW, Purpose.backfill(old)).window == Window(oldest, oldest)
    whole = plan(short, Options(full=True), LAST, NOW)
    assert whole.window.since is None
    assert whole.complete_range == Window(oldest, NOW), "what is older is kept and not missing"


@pytest.mark.parametrize(
    ("flags", "moves", "sweeps"),
    [
        ({"full": True}, True, True),
        ({}, True, False),
        ({"force": True}, True, True),
        ({"start_date": DAY}, True, False),  # before the cursor: no gap
        ({"start_date": date(2024, 6, 1)}, False, False),  # after it: what lies between was not read
        ({"full": True, "dry_run": True}, False, True),
        ({"full": True, "max_records": 5}, False, False),
    ],
)
def test_filtered_run_keeps_watermark(flags: dict[str, Any], moves: bool, sweeps: bool) -> None:
    """A whole read tombstones what is missing; a limited, dry or filtered run proves nothing missing."""
    planned = plan(THING, Options(**flags), LAST, NOW)
    assert (planned.moves_watermark, planned.complete_range is not None) == (moves, sweeps)
    narrowed = plan(THING, Options(**flags), LAST, NOW, narrowed=True)
    assert (narrowed.moves_watermark, narrowed.complete_range) == (False, None)


def test_backfills_and_replays_leave_the_cursor_alone() -> None:
    window = Window(MIDNIGHT, MIDNIGHT + timedelta(days=1))
    planned = plan(THING, Options(), LAST, NOW, Purpose.backfill(window))
    assert (planned.mode, planned.window) == ("backfill", window)
    assert (planned.moves_watermark, planned.complete_range) == (False, None)
    assert plan(LOG, Options(), LAST, NOW, Purpose.backfill(window)).complete_range == window
    replayed = plan(THING, Options(), LAST, NOW, Purpose.replay([1]))
    assert (replayed.mode, replayed.moves_watermark, replayed.complete_range) == ("replay", False, None)


def test_without_a_cursor_everything_is_read_each_time() -> None:
    for flags in ({}, {"start_date": DAY}, {"full": True}):
        planned = plan(PAIR, Options(**flags), None, NOW)
        assert (planned.mode, planned.window.since, planned.moves_watermark) == ("full", None, False)
        assert planned.complete_range is not None


@pytest.mark.parametrize(("minutes", "moves"), [(4, False), (5, True)])
def test_a_start_date_within_the_overlap_of_the_watermark_leaves_a_gap(minutes: int, moves: bool) -> None:
    """What the vendor shows late of the time between is read by the next delta."""
    begin = datetime(2024, 5, 31, tzinfo=UTC)
    last = LastGood(begin + timedelta(minutes=minutes), begin + timedelta(hours=1))
    assert plan(THING, Options(start_date=begin.date()), last, NOW).moves_watermark == moves

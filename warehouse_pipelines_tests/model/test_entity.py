"""A row that contradicts itself is refused at import, and the message says what is wrong with it."""

from dataclasses import replace
from datetime import date, timedelta

import pytest

from warehouse_pipelines.model.cadence import Cadence
from warehouse_pipelines.model.deletes import Deletes
from warehouse_pipelines_tests.harness.fake_source import PAIR, THING

DAY = timedelta(days=1)


def test_a_cadence_under_five_minutes_is_refused() -> None:
    with pytest.raises(ValueError, match=r"a cadence of 0:04:00, which is under five minutes"):
        Cadence(every=timedelta(minutes=4))


def test_a_reason_to_never_read_in_full_beside_a_full_read_is_refused() -> None:
    with pytest.raises(ValueError, match="full_every, and with never_full"):
        Cadence(full_every=DAY, never_full="The vendor deletes nothing.")


def test_a_row_with_a_cursor_says_how_often_it_is_read_in_full_or_why_never() -> None:
    with pytest.raises(ValueError, match="fake_thing: a cursor without full_every"):
        replace(THING, cadence=Cadence())
    for cadence in (Cadence(full_every=DAY), Cadence(never_full="The vendor deletes nothing.")):
        assert replace(THING, cadence=cadence).cadence == cadence


def test_without_a_cursor_a_row_has_no_word_of_a_window() -> None:
    words = {
        "overlap": DAY,
        "lookback": DAY,
        "lookahead": DAY,
        "full_every": DAY,
        "retention": DAY,
        "backfill_since": date(2024, 1, 1),
    }
    says = "fake.pair: " + "; ".join(f"{word} without a cursor" for word in words)
    with pytest.raises(ValueError, match=says):
        replace(PAIR, cadence=Cadence(**words))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="never_full without a cursor"):
        replace(PAIR, cadence=Cadence(never_full="The vendor deletes nothing."))
    assert replace(PAIR, cadence=Cadence(every=DAY)).unseen_for == DAY


@pytest.mark.parametrize("flag", ["", "status=", "=deleted"])
def test_a_deleted_flag_that_names_no_place_is_refused(flag: str) -> None:
    with pytest.raises(ValueError, match=f"a deleted flag '{flag}', which is neither a path nor path=word"):
        Deletes(flag=flag)


@pytest.mark.parametrize("time", ["", "status=deleted"])
def test_a_time_of_deletion_that_is_no_path_is_refused(time: str) -> None:
    with pytest.raises(ValueError, match=f"a time of deletion '{time}', which is no path"):
        Deletes(time=time)


@pytest.mark.parametrize(
    ("deletes", "column", "paths"),
    [
        (Deletes(), None, ()),
        (Deletes(flag="status=cancelled"), "archived", ("status",)),
        (Deletes(time="deletedAt"), "deleted_at", ("deletedAt",)),
        (Deletes(flag="a|b", time="c|d"), "archived", ("a", "b", "c", "d")),
    ],
)
def test_a_deletion_is_read_from_its_paths_into_its_column(
    deletes: Deletes, column: str | None, paths: tuple[str, ...]
) -> None:
    assert (deletes.column, deletes.paths) == (column, paths)


def test_a_row_names_only_columns_that_it_has() -> None:
    with pytest.raises(ValueError, match="not among the columns: absorbed_by, state"):
        replace(PAIR, deletes=Deletes(merged_keys="absorbed_by", deleted_values={"state": "cancelled"}))


def test_without_a_cursor_no_window_tells_of_deletions() -> None:
    with pytest.raises(ValueError, match="by_window without a cursor"):
        replace(PAIR, deletes=Deletes(by_window=True))

"""Columns that turn null: what is counted, when a run is partial, how long it is shown, and what is kept."""

import itertools
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from warehouse_pipelines.loading import resource
from warehouse_pipelines.loading.options import Purpose, Result
from warehouse_pipelines.model.reading import Window
from warehouse_pipelines.observability import health
from warehouse_pipelines.observability.lost_values import Loss, Standing
from warehouse_pipelines.orchestration import checks
from warehouse_pipelines_tests.harness.fake_source import THING, FakeSource, page, thing

pytestmark = pytest.mark.on_oldest(
    "test_force_empties_a_column_that_the_vendor_removed",
    "test_a_member_that_comes_late_is_written_by_the_next_read",
    "test_what_is_emptied_counts_once_and_a_newer_row_stays",
)


@pytest.mark.parametrize(
    ("lost", "of", "alarming"),
    [
        (1, 1, False),
        (2, 2, False),
        (3, 3, True),
        (3, 15, True),
        (3, 16, False),
        (4, 100, False),
        (5, 100, True),
        (5, 500, False),
        (6, 500, True),
        (1000, 100_000, False),
        (1001, 100_000, True),
        (0, 0, False),
    ],
)
def test_more_than_a_hundredth_or_a_fifth_is_an_alarm_and_a_few_records_are_not(
    lost: int, of: int, alarming: bool
) -> None:
    assert Loss(lost, of).alarming is alarming


def after(*runs: tuple[int, int, bool]) -> list[Standing]:
    """Return how column ``x`` stands after each run, which lost some of so many values in a full read or a delta."""
    standings = [Standing()]
    for lost, of, full in runs:
        standings.append(standings[-1].after({"x": lost}, {"x": of - lost}, (), full=full))
    return standings


def partial(*runs: tuple[int, int, bool]) -> list[bool]:
    standings = after(*runs)
    return [new.reason(old) is not None for old, new in itertools.pairwise(standings)]


FULL, DELTA = True, False


def test_the_same_loss_in_every_full_read_makes_one_run_partial_and_is_shown_until_it_ends() -> None:
    runs = [(40, 40, FULL), (40, 40, FULL), (40, 41, FULL), (0, 41, FULL)]
    assert partial(*runs) == [True, False, False, False]
    assert [bool(standing.problems) for standing in after(*runs)] == [False, True, True, True, False]


def test_a_loss_that_grows_makes_the_run_partial_again() -> None:
    assert partial((12, 1000, FULL), (20, 1000, FULL), (41, 1000, FULL), (600, 1000, FULL), (810, 1000, FULL)) == [
        True, False, True, True, True,
    ]  # fmt: skip


def test_small_deltas_add_up() -> None:
    """One value in each of ten runs is as much as ten in one."""
    assert partial(*[(1, 10, DELTA)] * 6) == [False, False, False, False, True, False]


def test_a_delta_that_loses_much_is_not_drowned_in_what_was_read_before() -> None:
    trickle = [(1, 190, DELTA)] * 20
    standing = after(*trickle, (30, 50, DELTA))
    assert not standing[20].losing
    assert standing[21].losing == {"x": Loss(30, 50)}


def test_a_delta_ends_an_alarm_when_it_reads_enough_without_a_loss() -> None:
    assert after((9, 9, DELTA), (0, 0, DELTA), (0, 19, DELTA))[-1].losing == {"x": Loss(9, 28)}
    assert after((9, 9, DELTA), (0, 20, DELTA))[-1] == Standing()


def test_what_the_next_run_reads_is_what_this_one_wrote() -> None:
    standing = Standing({"x": Loss(3, 9)}, frozenset({"y"}))
    assert Standing.read(standing.metrics()) == standing
    assert Standing.read(None) == Standing.read({}) == Standing()


def test_many_columns_are_counted_and_a_few_named() -> None:
    """A form that cannot be parsed takes forty columns with it."""
    standing = Standing({f"c{n}": Loss(9, 9) for n in range(8)}, frozenset({"x", "y"}))
    assert standing.problems == [
        "values lost: " + ", ".join(f"c{n} 9 of 9 (100%)" for n in range(5)) + " and 3 more",
        "no longer sent, values kept: x, y",
    ]
    assert "c4 9 of 9 and 3 more values cannot be read" in str(standing.reason(Standing()))


@pytest.fixture
def fake(bare_url: str) -> FakeSource:
    return FakeSource(bare_url)


def problems(fake: FakeSource) -> tuple[str, ...]:
    """Return what ``warehouse status`` says of the values of the things."""
    (found,) = health.judge([fake.source(THING)], url=fake.url, rules=("values",))
    (check,) = checks.judge_at_once(fake.source(THING), THING, fake.url, {"values"})
    assert check.passed is not bool(found.problems)
    assert check.description == ("; ".join(found.problems) or "no column loses its values")
    return found.problems


def things(number: int, **more: Any) -> list[dict[str, Any]]:
    return [thing(n, size=n, amount=f"{n}.50", phone="310 867 5309", **more) for n in range(number)]


def without(records: list[dict[str, Any]], *names: str, **more: Any) -> list[dict[str, Any]]:
    return [{name: value for name, value in record.items() if name not in names} | more for record in records]


def kept(fake: FakeSource, name: str) -> set[Any]:
    return {row[name] for row in fake.rows().values()}


def metrics(fake: FakeSource) -> Mapping[str, Any]:
    found: Mapping[str, Any] = fake.history()[-1]["performance_metrics"]
    return found


@pytest.mark.slow("the same in other circumstances")
def test_a_column_that_turns_null_is_named_by_its_run_and_shown_until_it_is_read_again(fake: FakeSource) -> None:
    good, bad = things(40), [{**one, "amount": "twelve"} for one in things(40)]
    assert fake.sync(good, full=True).status == "success"
    assert metrics(fake)["columns_filled"]["amount"] == 40
    assert (metrics(fake)["values_lost"], problems(fake)) == ({}, ())
    result = fake.sync(bad, full=True)
    assert (result.status, result.updated, result.failed) == ("partial", 40, 0)
    assert result.reason is not None
    assert result.reason.startswith("values_lost: amount 40 of 40 ")
    assert result.watermark is not None  # the records are loaded, so the next delta goes on from here
    assert metrics(fake)["values_lost"] == {"amount": {"lost": 40, "of": 40}}
    assert kept(fake, "amount") == {None}
    assert {row["raw_data"]["amount"] for row in fake.rows().values()} == {"twelve"}
    for _ in range(2):
        result = fake.sync(bad, full=True)
        assert (result.status, result.unchanged) == ("success", 40)
        assert problems(fake) == ("values lost: amount 40 of 40 (100%)",)
    assert fake.sync([thing("new", amount=5)]).status == "success"
    assert problems(fake) == ("values lost: amount 40 of 41 (98%)",)
    fake.sync(good[:30], full=True, max_records=30)
    fake.sync(good, full=True, dry_run=True)
    assert problems(fake) == ("values lost: amount 40 of 41 (98%)",)
    assert fake.sync(good, full=True).status == "success"
    assert problems(fake) == ()


def test_one_bad_value_in_a_delta_is_a_warning_and_no_more(fake: FakeSource) -> None:
    fake.sync(things(40), full=True)
    result = fake.sync([thing("1", 2, amount="twelve")])
    assert (result.status, result.metrics["warnings"], problems(fake)) == ("success", {"warn:amount": 1}, ())
    assert result.metrics["values_lost"] == {"amount": {"lost": 1, "of": 1}}


def renamed(fake: FakeSource, **flags: Any) -> Result:
    return fake.sync(without(things(30, label="x"), "name", "phone", first_name="Ann"), full=True, **flags)


def test_a_column_that_is_no_longer_sent_is_an_alarm_and_its_values_are_kept(fake: FakeSource) -> None:
    fake.sync(things(30), full=True)
    names = kept(fake, "name")
    result = renamed(fake)
    assert (result.status, result.updated, result.failed) == ("partial", 30, 0)
    assert result.reason is not None
    assert result.reason.startswith("columns_absent: name, phone had values")
    assert (kept(fake, "name"), kept(fake, "phone")) == (names, {"310 867 5309"})
    assert kept(fake, "phone_e164") == {"+13108675309"}
    assert {row["raw_data"].get("label") for row in fake.rows().values()} == {"x"}
    said = ("no longer sent, values kept: name, phone",)
    assert problems(fake) == said
    again = renamed(fake)
    assert (again.status, again.unchanged) == ("success", 30)
    # A delta is too small to be judged by, and the alarm holds.
    small = fake.sync(without([thing("3", 2, size=99), thing("new", 2)], "name"))
    assert (small.status, small.created, small.updated) == ("success", 1, 1)
    assert (fake.row("3")["name"], fake.row("3")["size"], fake.row("new")["name"]) == ("thing 3", 99, None)
    assert problems(fake) == said
    back = fake.sync([*things(30), thing("new", 2)], full=True)
    assert (back.status, fake.row("new")["name"], problems(fake)) == ("success", "thing new", ())


def test_force_empties_a_column_that_the_vendor_removed(fake: FakeSource) -> None:
    fake.sync(things(30), full=True)
    assert renamed(fake).status == "partial"
    assert renamed(fake, force=True).status == "success"
    assert kept(fake, "name") == kept(fake, "phone_e164") == {None}
    assert (problems(fake), renamed(fake).status) == ((), "success")


@pytest.mark.parametrize("nothing", [None, ""])
def test_a_member_that_says_nothing_is_not_absent(fake: FakeSource, nothing: str | None) -> None:
    fake.sync(things(30), full=True)
    result = fake.sync([{**one, "phone": nothing} for one in things(30)], full=True)
    assert (result.status, kept(fake, "phone"), problems(fake)) == ("success", {None}, ())


@pytest.mark.parametrize(("before", "now"), [(30, 19), (19, 30)])
def test_a_few_records_are_too_few_to_judge_by(fake: FakeSource, before: int, now: int) -> None:
    fake.sync(things(before))
    assert fake.sync(without(things(now), "name")).status == "success"


def test_small_deltas_without_a_column_add_up_until_they_are_enough(fake: FakeSource) -> None:
    fake.sync(things(60), full=True)

    def delta(first: int, *names: str) -> Result:
        return fake.sync(without(things(60)[first : first + 19], *names, label="x"))

    assert (delta(0, "name").status, metrics(fake)["columns_unseen"]) == ("success", {"name": 19})
    assert (delta(0).status, metrics(fake)["columns_unseen"]) == ("success", {})
    assert delta(0, "name").status == "success"
    result = delta(19, "name")
    assert (result.status, problems(fake)) == ("partial", ("no longer sent, values kept: name",))
    assert (result.reason or "").startswith("columns_absent: name ")
    assert delta(38, "name").status == "success"
    assert {key for (key,), row in fake.rows().items() if row["name"] is None} == {str(n) for n in range(19)}


def test_a_column_that_is_seldom_filled_may_be_absent(fake: FakeSource) -> None:
    """Some vendors leave out what is empty."""
    fake.sync([*things(30), thing("rare", doc={"a": 1}, more={"shade": "red"})], full=True)
    result = fake.sync(things(31), full=True)
    assert (result.status, problems(fake)) == ("success", ())


def test_a_member_that_comes_late_is_written_by_the_next_read(
    fake: FakeSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The records before it were merged without the column, which is emptied where they lack it: nothing is kept."""
    monkeypatch.setattr(resource, "CHUNK", 25)
    first = [{**one, "more": {"shade": "red"}} for one in things(50)]
    fake.sync(first, full=True)
    late = [{**one, "name": "late"} for one in first]
    for one in late[:25]:
        del one["name"], one["phone"], one["more"]["shade"]
    late[26]["phone"] = None
    result = fake.sync(page(*late[:25]), page(*late[25:]), full=True)
    assert (result.status, result.updated, problems(fake)) == ("success", 50, ())
    for name, value in {"name": "late", "phone": "310 867 5309", "phone_e164": "+13108675309", "shade": "red"}.items():
        assert {row[name] for (key,), row in fake.rows().items() if int(key) < 25} == {None}, name
        assert kept(fake, name) == {None, value}
    again = fake.sync(page(*late[:25]), page(*late[25:]), full=True)
    assert (again.status, again.updated, again.unchanged) == ("success", 0, 50)


def test_what_is_emptied_counts_once_and_a_newer_row_stays(fake: FakeSource, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "CHUNK", 25)
    fake.sync(things(50), full=True)
    removed = without(things(50), "name")
    assert fake.sync(removed, full=True).status == "partial"
    newer = thing("3", 9, name="newer")
    fake.sync(without([thing("4", 9)], "name"))
    fake.sync([newer])
    # The stored records are these, so that nothing but the kept names differs.
    result = fake.sync(page(*removed[:25]), page(*removed[25:49], thing("49", 2, name="here")), full=True)
    assert (result.updated, result.unchanged, result.created) == (49, 0, 0)
    assert result.metrics["older"] == 1, "that of 4 is older too, and its row is emptied"
    assert {key: row["name"] for (key,), row in fake.rows().items() if row["name"]} == {"3": "newer", "49": "here"}
    assert problems(fake) == ()


def test_a_backfill_of_before_a_field_existed_keeps_its_values_and_says_nothing_of_it(fake: FakeSource) -> None:
    months = Purpose.backfill(Window(datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 2, 1, tzinfo=UTC)))
    fake.sync(things(30))
    old = without(things(30), "amount")
    result = fake.sync(old, purpose=months)
    assert (result.mode, result.status, result.reason) == ("backfill", "success", None)
    assert len(kept(fake, "amount")) == 30
    assert problems(fake) == ()
    assert fake.sync(without(things(15), "amount"), purpose=months).status == "success"
    assert metrics(fake)["columns_unseen"] == {}, "of these the next delta has none of its own"
    # What the vendor sends now is judged as before, whatever backfills found.
    assert fake.sync(old, full=True).status == "partial"
    stood = problems(fake)
    assert "no longer sent, values kept: amount" in stood
    fake.sync(things(30), purpose=months)
    assert problems(fake) == stood, "a full read ends it"


def test_a_column_that_is_back_in_a_delta_is_shown_until_a_full_read(fake: FakeSource) -> None:
    """The vendor may leave out what is empty, and then the one record says nothing of the values that were kept."""
    fake.sync(things(30), full=True)
    removed = without(things(30), "name")
    assert fake.sync(removed, full=True).status == "partial"
    result = fake.sync([thing("3", 2, name="back")])
    assert (result.status, fake.row("3")["name"], fake.row("4")["name"]) == ("success", "back", "thing 4")
    assert problems(fake) == ("no longer sent, values kept: name",)
    fake.sync([*removed[:3], thing("3", 2, name="back"), *removed[4:]], full=True)
    assert (kept(fake, "name"), problems(fake)) == ({None, "back"}, ())


def test_a_member_deep_in_the_record_is_looked_for_at_its_place(fake: FakeSource) -> None:
    """``more.shade`` is absent although another member is called ``shade``; as null it is there."""
    deep = [{**one, "more": {"shade": "red"}} for one in things(30)]
    fake.sync(deep, full=True)
    assert fake.sync([{**one, "more": {"shade": None}} for one in deep], full=True).status == "success"
    fake.sync(deep, full=True)
    result = fake.sync([{**one, "more": {"other": 1}, "shade": "blue"} for one in deep], full=True)
    assert (result.status, kept(fake, "shade")) == ("partial", {"red"})


TIMED = replace(THING, deletes=replace(THING.deletes, flag=None))
FLAG = {"removed": (THING, "removed", True, False), "removed_at": (TIMED, "removed_at", "2024-02-03T04:05:06Z", None)}


def tombstones(fake: FakeSource) -> dict[str, tuple[Any, Any]]:
    return {key: (row["delete_reason"], row["deleted_at"]) for (key,), row in fake.rows().items() if row["archived"]}


@pytest.mark.parametrize("flag", FLAG)
@pytest.mark.slow("the same in other circumstances")
def test_what_the_vendor_deleted_stays_deleted_while_its_flag_is_not_sent(fake: FakeSource, flag: str) -> None:
    fake.entity, name, yes, no = FLAG[flag]
    column = "archived" if fake.entity.deletes.flag else "deleted_at"

    def flagged(number: int, first_living: int, **more: Any) -> list[dict[str, Any]]:
        return [{**one, name: yes if n < first_living else no} for n, one in enumerate(things(number, **more))]

    fake.sync(flagged(50, 25), full=True)
    before = tombstones(fake)
    assert len(before) == 25
    # One record is enough: this vendor sends the flag with each.
    result = fake.sync([thing("3", 2, size=99)])
    assert (result.status, result.restored, result.updated, tombstones(fake)) == ("partial", 0, 1, before)
    assert result.reason is not None
    assert result.reason.startswith(f"columns_absent: {column} ")
    assert fake.row("3")["size"] == 99
    for number in (50, 51):
        result = fake.sync(things(number, label="x"), full=True)
        assert (result.status, result.restored, tombstones(fake)) == ("success", 0, before)
        assert problems(fake) == (f"no longer sent, values kept: {column}",)
    back = fake.sync(flagged(51, 20), full=True)
    assert (back.status, back.restored, problems(fake)) == ("success", 5, ())
    assert set(tombstones(fake)) == {str(n) for n in range(20)}
    # What is missing or merged was no word of the flag.
    fake.sync(flagged(51, 20)[:45], full=True)
    result = fake.sync(things(51), full=True)
    assert (result.status, result.restored, len(tombstones(fake))) == ("partial", 6, 20)
    assert fake.sync(things(51), full=True, force=True).restored == 20
    assert (tombstones(fake), problems(fake)) == ({}, ())


def test_a_flag_that_is_sent_only_when_it_is_set_may_be_left_out(fake: FakeSource) -> None:
    fake.sync([*things(50), thing("a", removed=True), thing("b", removed=True)], full=True)
    result = fake.sync([thing("a", 2)])
    assert (result.status, result.restored, set(tombstones(fake))) == ("success", 1, {"b"})

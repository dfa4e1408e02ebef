"""``orchestration.change_log``: what changed in a row, by which run, and nothing of a run that did not commit."""

from dataclasses import replace
from typing import Any

import psycopg
import pytest

from warehouse_pipelines import warehouse
from warehouse_pipelines.errors import SuspiciousRead, VendorUnavailable
from warehouse_pipelines.loading import resource
from warehouse_pipelines.model.reading import ReadReport
from warehouse_pipelines.unified.erasing import emptying
from warehouse_pipelines_tests.harness.fake_source import PAIR, THING, FakeSource, thing

LOGGED = replace(THING, change_log=True)


@pytest.fixture
def fake(bare_url: str, monkeypatch: pytest.MonkeyPatch) -> FakeSource:
    """Every page is a batch of its own."""
    monkeypatch.setattr(resource, "CHUNK", 1)
    return FakeSource(bare_url, LOGGED)


def logged(fake: FakeSource, *without: str) -> list[tuple[Any, ...]]:
    """Return key, column, old and new value, but of the times of deletion, which are now."""
    with psycopg.connect(fake.url) as connection:
        return connection.execute(
            "SELECT record_key, column_name, old_value, new_value FROM orchestration.change_log"
            " WHERE table_name = %s AND column_name <> ALL (%s) ORDER BY record_key, id, column_name",
            [fake.entity.table, ["deleted_at", *without]],
        ).fetchall()


def test_each_column_that_changed_is_logged_with_its_values_and_the_run(fake: FakeSource) -> None:
    fake.sync([thing(1, size=3, phone="(614) 555-0100"), thing(2)])
    assert logged(fake) == [], "new rows are not in it"
    result = fake.sync([thing(1, 2, size=4, name="another", phone="(614) 555-0101"), thing(2)])
    assert sorted(logged(fake)) == [
        ("1", "at", "2024-01-01 00:00:00+00", "2024-01-02 00:00:00+00"),
        ("1", "name", "thing 1", "another"),
        ("1", "phone", "(614) 555-0100", "(614) 555-0101"),
        ("1", "phone_e164", "+16145550100", "+16145550101"),
        ("1", "size", "3", "4"),
    ]
    with psycopg.connect(fake.url) as connection:
        [row] = connection.execute(
            "SELECT DISTINCT sync_history_id, changed_at BETWEEN h.start_time AND h.end_time"
            " FROM orchestration.change_log AS c JOIN orchestration.sync_history AS h ON h.id = c.sync_history_id"
        ).fetchall()
    assert row == (result.history_id, True)


def test_nothing_is_logged_of_an_entity_that_does_not_ask_for_it(bare_url: str) -> None:
    fake = FakeSource(bare_url)
    fake.sync([thing(1, size=3)])
    fake.sync([thing(1, 2, size=4)])
    assert logged(fake) == []


def test_what_did_not_change_is_not_logged_even_when_forced(fake: FakeSource) -> None:
    fake.sync([thing(1, size=3)])
    fake.sync([thing(1, size=3)])
    fake.sync([thing(1, size=3)], force=True)
    fake.sync([thing(1, 2, size=3, unknown="a member that no column has")])
    assert [row[1] for row in logged(fake)] == ["at"]


def test_an_emptied_and_a_filled_value_are_changes(fake: FakeSource) -> None:
    fake.sync([thing(1, size=3, name=None)])
    fake.sync([thing(1, 2, size=None, name="named")])
    assert set(logged(fake, "at")) == {("1", "size", "3", None), ("1", "name", None, "named")}


def test_members_of_custom_properties_are_columns_of_their_own(fake: FakeSource) -> None:
    fake.sync([thing(1, more={"shade": "red", "kept": 1, "dropped": "x"})])
    fake.sync([thing(1, 2, more={"shade": "blue", "kept": 1, "new": {"deep": True}})])
    assert set(logged(fake, "at")) == {
        ("1", "shade", "red", "blue"),
        ("1", "custom_properties.dropped", "x", None),
        ("1", "custom_properties.new", None, '{"deep": true}'),
    }


def test_an_older_record_changes_nothing_and_logs_nothing(fake: FakeSource) -> None:
    fake.sync([thing(1, 5, size=3)])
    fake.sync([thing(1, 4, size=4)])
    assert logged(fake) == []


def test_versions_of_one_run_are_logged_one_after_another(fake: FakeSource) -> None:
    fake.sync([thing(1, 1, size=1)])
    fake.sync([thing(1, 2, size=2)], [thing(1, 3, size=3)])
    assert logged(fake, "at") == [("1", "size", "1", "2"), ("1", "size", "2", "3")]


def test_a_batch_that_is_merged_in_halves_is_logged_too(fake: FakeSource) -> None:
    """A rule of the table refuses one record of the batch; the others are loaded and logged once."""
    fake.sync([thing(n, size=1) for n in range(8)])
    with psycopg.connect(fake.url) as connection:
        connection.execute("ALTER TABLE fake_thing ADD CONSTRAINT small CHECK (size <> 13) NOT VALID")
    result = fake.sync([thing(n, 2, size=13 if n == 5 else 2) for n in range(8)])
    assert result.failed == 1
    assert logged(fake, "at") == [(str(n), "size", "1", "2") for n in range(8) if n != 5]


def test_deletions_and_returns_are_changes(fake: FakeSource) -> None:
    fake.sync([thing(n) for n in range(3)])
    fake.sync([thing(0), thing(1, 2, removed=True)], full=True)
    fake.sync([thing(0), thing(1, 3), thing(2, 3)], full=True)
    assert logged(fake, "at") == [
        ("1", "archived", "false", "true"),
        ("1", "delete_reason", None, "archived"),
        ("1", "archived", "true", "false"),
        ("1", "delete_reason", "archived", None),
        ("2", "archived", "false", "true"),
        ("2", "delete_reason", None, "missing"),
        ("2", "archived", "true", "false"),
        ("2", "delete_reason", "missing", None),
    ]


def test_an_absorbed_record_and_one_that_was_erased_are_changes(fake: FakeSource) -> None:
    fake.sync([thing(n) for n in range(4)])
    fake.sync([thing(1, 2, absorbed="2"), thing(3, 2, removed=True)])
    assert ("2", "delete_reason", None, "merged into 1") in logged(fake)
    fake.report = ReadReport(erased_keys=("3",))
    fake.sync([thing(1, 3, absorbed="2")])
    assert ("3", "delete_reason", "archived", "erased") in logged(fake)


def test_a_key_of_several_columns_is_its_parts_apart_by_blanks(fake: FakeSource) -> None:
    fake.entity = replace(PAIR, change_log=True)
    fake.sync([{"one": "a", "two": 1, "label": "x"}])
    fake.sync([{"one": "a", "two": 1, "label": "y"}])
    assert logged(fake) == [("a 1", "label", "x", "y")]


def test_a_run_that_fails_or_is_dry_logs_nothing(fake: FakeSource) -> None:
    fake.sync([thing(n) for n in range(300)])

    def away() -> None:
        raise VendorUnavailable("planted")

    with pytest.raises(VendorUnavailable):
        fake.sync([thing(1, 2, size=9)], away)
    with pytest.raises(SuspiciousRead):
        fake.sync([thing(1, 2, size=9)], full=True)
    fake.sync([thing(1, 2, size=9)], dry_run=True)
    assert logged(fake) == []


def texts(fake: FakeSource) -> dict[str, dict[str, Any]]:
    """Return the columns of each row as the log spells them."""
    names = ["size", "name", "doc", "at", "archived", "delete_reason"]
    shown = ", ".join(f"'{name}', t.{name}::text" for name in names)
    with psycopg.connect(fake.url) as connection:
        return dict(connection.execute(f"SELECT t.id, jsonb_build_object({shown}) FROM fake_thing AS t"))


def test_taken_back_change_by_change_a_table_is_what_it_was(fake: FakeSource) -> None:
    fake.sync([thing(n, 1, size=n, doc={"n": n}) for n in range(6)])
    before = texts(fake)
    for day in range(2, 7):
        shown = [
            thing(n, day, size=None if n == day else n * day, name=f"{day} {n}", doc={"day": day}, removed=n == 4)
            for n in range(day % 3, 6)
        ]
        fake.sync(shown[:2], shown[2:], full=True, force=True)
    now = texts(fake)
    assert now != before
    with psycopg.connect(fake.url) as connection:
        changes = connection.execute(
            "SELECT record_key, column_name, old_value, new_value FROM orchestration.change_log ORDER BY id DESC"
        ).fetchall()
    for key, column, old, new in changes:
        if column in now[key]:
            assert now[key][column] == new
            now[key][column] = old
    assert now == before


def test_an_erasure_deletes_what_is_logged_of_the_records_and_readers_see_nothing(fake: FakeSource) -> None:
    fake.sync([thing(1), thing(2)])
    fake.sync([thing(1, 2, name="Wilhelmina Planted"), thing(2, 2)])
    with warehouse.session(fake.url) as session:
        assert emptying.delete_changes(session, {"fake_thing": frozenset({"1"})}) == 2
        readable = "SELECT has_table_privilege(%s, 'orchestration.change_log', 'SELECT') AS may"
        for role in ("warehouse_read", "warehouse_read_masked"):
            assert session.execute(readable, [role]).fetchone() == {"may": False}
    assert {row[0] for row in logged(fake)} == {"2"}

"""From batches to rows: what the table holds afterwards, and whether the counts say so."""

import json
import random
import re
import secrets
from collections.abc import Callable, Set
from dataclasses import replace
from datetime import timedelta
from typing import Any

import psycopg
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg import sql

from warehouse_pipelines.errors import NotConfigured, SuspiciousRead, WrongUse
from warehouse_pipelines.loading import dead_letters, resource
from warehouse_pipelines.loading.loader import Loader
from warehouse_pipelines.loading.merge_sql import MergeStatements
from warehouse_pipelines.loading.mirroring import check_mirroring
from warehouse_pipelines.loading.options import Result
from warehouse_pipelines.loading.transaction import Transaction
from warehouse_pipelines.loading.warehouse_reader import WarehouseReader
from warehouse_pipelines.model.reading import ReadReport, TooLarge
from warehouse_pipelines.model.rules import one_of
from warehouse_pipelines_tests.harness.drivers.driver import Key
from warehouse_pipelines_tests.harness.examples import examples
from warehouse_pipelines_tests.harness.fake_source import LOG, PAIR, THING, TICKET, FakeSource, Record, page, thing
from warehouse_pipelines_tests.harness.source_harness import asking, replayed

pytestmark = pytest.mark.on_oldest(
    "test_what_is_too_long_is_compressed_by_lz4_where_the_server_has_it",
    "test_only_newer_wins_and_force_overrides",
    "test_a_record_of_another_shape_whose_key_is_no_uuid_hides_no_other",
    "test_a_mirrored_table_shows_what_the_vendor_says",
    "test_rows_that_were_made_here_are_never_missing_at_the_vendor",
    "test_the_hash_of_a_record_can_be_computed_elsewhere",
    "test_a_role_that_may_not_mirror_is_told_what_to_grant",
    "test_merged_records_are_tombstoned_with_their_survivor_s_name",
    "test_a_survivor_and_what_it_absorbed_in_one_batch",
    "test_what_is_waived_stays_so_until_its_payload_changes",
    "test_the_only_row_may_be_deleted_when_the_source_says_so",
    "test_what_postgresql_refuses_of_a_batch_is_found_by_one_function",
    "test_what_postgresql_cannot_hold_costs_no_record",
    "test_a_text_too_long_for_its_index_costs_no_record",
    "test_composite_keys",
    "test_a_window_read_completely_tombstones_what_left_it",
)

SOME = settings(
    max_examples=examples(4, of=12),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest.fixture
def fake(bare_url: str, monkeypatch: pytest.MonkeyPatch) -> FakeSource:
    """Every page is a batch of its own."""
    monkeypatch.setattr(resource, "CHUNK", 1)
    return FakeSource(bare_url)


def emptied(fake: FakeSource) -> FakeSource:
    with asking(fake.url) as connection:
        connection.execute(f"TRUNCATE {fake.entity.table}, orchestration.sync_history, orchestration.dead_letter")
    return fake


def execute(fake: FakeSource, statement: str) -> None:
    with asking(fake.url) as connection:
        connection.execute(statement)


def letters(fake: FakeSource, status: str = "pending") -> list[Any]:
    with asking(fake.url) as connection:
        return connection.execute(
            "SELECT record_key, stage, rule, attempts FROM orchestration.dead_letter WHERE status = %s ORDER BY id",
            [status],
        ).fetchall()


def values(rows: dict[Key, dict[str, Any]], *without: str) -> dict[Key, dict[str, Any]]:
    """Return rows without what tells one run from another."""
    left_out = {"xmin", "sync_created_at", "sync_updated_at", *without}
    return {key: {name: value for name, value in row.items() if name not in left_out} for key, row in rows.items()}


versions = st.tuples(st.sampled_from("abcde"), st.integers(1, 5))
"""A key and the day of its version; what a version says follows from it, so that no order can change it."""


@given(st.lists(versions, min_size=1, max_size=14), st.integers(1, 5), st.randoms(use_true_random=False))
@SOME
def test_any_order_of_batches_and_duplicates_ends_in_the_same_table(
    fake: FakeSource, given_versions: list[tuple[str, int]], batches: int, chance: random.Random
) -> None:
    """Only newer wins: a poll and a webhook may arrive in either order."""
    tables = []
    for _ in range(2):
        emptied(fake)
        chance.shuffle(given_versions)
        pages = [
            [thing(key, day, size=day, removed=day == 4) for key, day in given_versions[start::batches]]
            for start in range(batches)
        ]
        result = fake.sync(*pages)
        loaded = result.created + result.updated + result.unchanged
        assert result.processed == len(given_versions) == loaded + result.failed + result.filtered
        tables.append(values(fake.rows(), "deleted_at"))
    assert tables[0] == tables[1]
    newest = {(key,): max(day for other, day in given_versions if other == key) for key, _ in given_versions}
    assert {key: row["size"] for key, row in tables[0].items()} == newest
    assert {key: row["archived"] for key, row in tables[0].items()} == {key: day == 4 for key, day in newest.items()}


records = st.builds(
    lambda key, day, size, removed: {
        **thing(key, day or 1, size=size, removed=removed),
        **({} if day else {"at": None}),
    },
    st.sampled_from("abcd"),
    st.none() | st.integers(1, 3),
    st.integers(0, 2),
    st.none() | st.booleans(),
)
runs_of_records = st.lists(st.tuples(st.lists(records, max_size=6), st.booleans()), min_size=1, max_size=4)


@given(runs_of_records)
@SOME
def test_io_manager_counts_are_exact(fake: FakeSource, runs: list[tuple[list[Record], bool]]) -> None:
    """What a run says it did is the difference between the table before and after it."""
    emptied(fake)
    for shown, force in runs:
        before = fake.rows()
        result = fake.sync(shown, force=force, max_records=1000)  # limited, so nothing counts as missing
        check_counts(result, before, fake.rows(), len({record["id"] for record in shown}))
        assert result.processed == len(shown)


def check_counts(result: Result, before: dict[Key, Any], after: dict[Key, Any], keys: int) -> None:
    created = after.keys() - before.keys()
    updated = {key for key in before if after[key]["xmin"] != before[key]["xmin"]}
    was = {key for key, row in before.items() if row["archived"]}
    now = {key for key, row in after.items() if row["archived"]}
    assert (result.created, result.updated) == (len(created), len(updated))
    assert result.unchanged + result.metrics["older"] == keys - len(created) - len(updated)
    same = {key for key in before if after[key]["xmin"] == before[key]["xmin"]}
    assert result.metrics["older"] <= len(same)
    assert (result.deleted, result.restored) == (len(now - was), len(was - now))
    assert result.total_rows == len(after)
    assert result.metrics["living_rows"] == len(after) - len(now)


def test_an_empty_table_is_filled_without_a_merge_until_a_key_comes_again(
    fake: FakeSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    composed = []
    merge = MergeStatements.merge

    def noted(statements: MergeStatements, kept: Set[str], which: sql.Composable | None = None) -> sql.Composed:
        composed.append("merge")
        return merge(statements, kept, which)

    monkeypatch.setattr(MergeStatements, "merge", noted)
    first = fake.sync([thing("a", 1, removed=True), thing("b", 1)], [thing("c", 1)])
    assert (first.created, first.deleted, composed) == (3, 1, [])
    emptied(fake)
    again = fake.sync([thing("a", 1), thing("b", 1)], [thing("c", 1), thing("a", 2)], [thing("b", 1), thing("d", 1)])
    assert (again.created, again.updated, again.unchanged, again.failed) == (4, 1, 1, 0)
    assert composed == ["merge"]
    assert fake.row("a")["at"].day == 2


def test_what_is_too_long_is_compressed_by_lz4_where_the_server_has_it(fake: FakeSource) -> None:
    with psycopg.connect(fake.url) as connection:
        (has_lz4,) = connection.execute(
            "SELECT 'lz4' = ANY (enumvals) FROM pg_settings WHERE name = 'default_toast_compression'"
        ).fetchone() or (False,)
    transaction = Transaction(fake.url, THING.table)
    try:
        chosen = transaction.row(sql.SQL("SELECT current_setting('default_toast_compression')"))
    finally:
        transaction.close()
    assert chosen == ("lz4" if has_lz4 else "pglz",)


def test_all_batches_are_staged_in_one_file(fake: FakeSource, monkeypatch: pytest.MonkeyPatch) -> None:
    """A table that is truncated after a savepoint gets another file, and the old one stays until the commit."""
    files = []
    load = Loader.load

    def noted(loader: Loader, table: pa.Table) -> None:
        load(loader, table)
        files.append(loader.transaction.number(sql.SQL("SELECT pg_relation_filenode('incoming')")))

    monkeypatch.setattr(Loader, "load", noted)
    execute(fake, f"CREATE INDEX ON {fake.entity.table} (absorbed)")
    assert fake.sync([thing("a"), thing("b")], [thing("c"), REFUSED["54"](1), thing("d")], [thing("e")]).failed == 1
    assert len(files) >= 3
    assert len(set(files)) == 1


def test_a_stale_record_neither_restores_nor_buries(fake: FakeSource) -> None:
    fake.sync([thing("a", 3, removed=True), thing("b", 3)])
    result = fake.sync(page(thing("a", 2), thing("b", 2, removed=True), in_window=False))
    assert (result.updated, result.unchanged, result.restored, result.deleted) == (0, 0, 0, 0)
    assert (result.filtered, result.metrics["older"]) == (2, 2)
    assert (fake.row("a")["archived"], fake.row("b")["archived"]) == (True, False)
    assert result.metrics["living_rows"] == 1


def test_a_record_that_is_older_than_its_row_is_counted_as_such(fake: FakeSource) -> None:
    """Not as unchanged, since it differs; one that is older than another of the same run does not."""
    execute(fake, "ALTER TABLE fake_thing ADD CONSTRAINT small CHECK (size <> 13) NOT VALID")
    fake.sync([thing("a", 3), thing("b", 3), thing("c", 3)])
    shown = [thing("a", 2), thing("b", 3), thing("c", 4)], [thing("c", 3, size=1)]
    result = fake.sync(*(page(*records, in_window=False) for records in shown))
    assert (result.updated, result.unchanged, result.filtered, result.metrics["older"]) == (1, 2, 1, 1)
    assert result.metrics["noticed"] == {}
    shown_in_halves = page(thing("a", 2), thing("b", 3), thing("d", size=13), thing("e"), in_window=False)
    halves = fake.sync(shown_in_halves)
    assert (halves.created, halves.failed, halves.unchanged, halves.metrics["older"]) == (1, 1, 1, 1)
    unreadable = json.dumps(thing("a", 2, doc={"n": 1}, amount="2")).replace('{"n": 1}', '{"n": 1e200000}').encode()
    assert fake.sync(page(unreadable, in_window=False)).metrics["older"] == 1, "and is no dead letter"


def test_a_read_of_everything_names_records_that_are_older_than_their_rows(
    fake: FakeSource, caplog: pytest.LogCaptureFixture
) -> None:
    """A vendor that was put back to a former state differs for good; the read itself is complete."""
    fake.sync([thing("a", 3), thing("b", 3), thing("c", 3)])
    result = fake.sync([thing("a", 2, name="put back"), thing("b", 3)], full=True)
    assert (result.status, result.unchanged, result.deleted, result.metrics["older"]) == ("success", 1, 1, 1)
    said = result.metrics["noticed"]["older_than_stored"]
    assert said.startswith("1 records of Fake are older than their rows in fake_thing")
    assert said in caplog.text
    assert fake.history()[-1]["performance_metrics"]["noticed"]["older_than_stored"] == said
    result = fake.sync([thing("a", 2, name="put back"), thing("b", 3)], full=True, force=True)
    assert (result.metrics["older"], fake.row("a")["name"]) == (0, "put back")


def test_only_newer_wins_and_force_overrides(fake: FakeSource) -> None:
    fake.sync([thing("a", 3, size=3)])
    assert fake.sync([thing("a", 2, size=2)]).updated == 0
    assert fake.row("a")["size"] == 3
    assert fake.sync([thing("a", 3, size=33)]).updated == 1, "of equals the last one wins"
    assert fake.sync([thing("a", 2, size=2)], force=True).updated == 1
    assert fake.row("a")["size"] == 2


def test_an_unchanged_row_is_neither_written_nor_locked(fake: FakeSource) -> None:
    """No dead tuple: place, writer and locker of the row are what they were; also when only the spelling differs."""
    fake.sync([thing("a", amount="1.50", doc={"x": 1, "y": 2})])

    def place() -> Any:
        with psycopg.connect(fake.url) as connection:
            return connection.execute(f"SELECT ctid, xmin, xmax, sync_updated_at FROM {THING.table}").fetchall()

    before = place()
    assert fake.sync([thing("a", amount="1.50", doc={"x": 1, "y": 2})]).unchanged == 1
    respelt = json.dumps(thing("a", doc={"y": 2, "x": 1}, amount="1.50"), indent=2).encode()
    assert fake.sync([respelt], full=True).unchanged == 1
    assert place() == before


def test_a_changed_row_keeps_when_it_was_created(fake: FakeSource) -> None:
    fake.sync([thing("a", 1, size=1)])
    before = fake.row("a")
    fake.sync([thing("a", 2, size=2)])
    after = fake.row("a")
    assert after["sync_created_at"] == before["sync_created_at"]
    assert after["sync_updated_at"] > before["sync_updated_at"]


@pytest.mark.parametrize("there", [True, False])
def test_the_hash_does_not_hide_a_locally_changed_archived_flag(fake: FakeSource, there: bool) -> None:
    record = thing("a", removed=there)
    fake.sync([record])
    execute(fake, f"UPDATE {THING.table} SET archived = NOT archived")
    result = fake.sync([record], full=True)
    assert fake.row("a")["archived"] is there
    assert (result.updated, result.deleted, result.restored) == (1, int(there), int(not there))


def test_a_changed_declaration_reaches_unchanged_records(fake: FakeSource) -> None:
    """The hash knows the declaration, so a column that is read otherwise is not taken for unchanged."""

    from warehouse_pipelines.model.entity import Column

    fake.sync([thing("a", title="other")])
    declared = replace(THING, columns={**THING.columns, "name": Column("text", "title")})
    assert fake.sync([thing("a", title="other")], entity=declared, full=True).updated == 1
    assert fake.row("a")["name"] == "other"


A, B, C = (f"0b5f3a9c-1d2e-4f60-8a7b-9c0d1e2f3a4{n}" for n in "abc")


def test_uuids_are_native_and_however_spelt_the_same_row(fake: FakeSource) -> None:
    """A key that is no UUID costs its record, another column itself."""
    fake.entity = TICKET
    fake.sync([{"id": A, "owner_id": B, "label": "a"}, {"id": B, "owner_id": None, "label": "b"}, {"id": C}])
    with psycopg.connect(fake.url) as connection:
        assert connection.execute("SELECT DISTINCT pg_typeof(id), pg_typeof(owner_id) FROM fake.ticket").fetchall() == [
            ("uuid", "uuid")
        ]
    assert {key: str(row["owner_id"]) for key, row in fake.rows().items()} == {(A,): B, (B,): "None", (C,): "None"}
    result = fake.sync(
        [{"id": A.upper(), "owner_id": f"{{{B}}}", "label": "a"}],
        [{"id": "seventeen", "label": "c"}, {"id": B, "owner_id": "nobody", "label": "b"}],
    )
    assert (result.unchanged, result.updated, result.failed, result.deleted) == (0, 2, 1, 0), "the record is respelt"
    assert letters(fake) == [(None, "coerce", "object id", 1)]
    result = fake.sync([{"id": A, "owner_id": "nobody", "label": "a"}, {"id": B, "label": "b"}])
    assert (result.updated, result.failed, result.deleted) == (2, 0, 1)
    assert (fake.row(A)["owner_id"], fake.row(C)["archived"]) == (None, True)


def test_a_record_of_another_shape_whose_key_is_no_uuid_hides_no_other(fake: FakeSource) -> None:
    fake.entity = TICKET
    fake.sync([{"id": A}, {"id": B}])
    result = fake.sync([{"id": A}, {"id": "seventeen", "address": "x"}, {"id": B, "address": "x"}])
    assert (result.failed, result.deleted) == (1, 0)
    assert [key for key, *_ in letters(fake)] == [None]


OWN_RULES = """
    CREATE FUNCTION fake.shout() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN NEW.label := upper(NEW.label); RETURN NEW; END $$;
    CREATE TRIGGER shout BEFORE INSERT OR UPDATE ON fake.ticket FOR EACH ROW EXECUTE FUNCTION fake.shout();
    ALTER TABLE fake.ticket ADD FOREIGN KEY (owner_id) REFERENCES fake.ticket (id), ADD CHECK (label <> 'never')
"""


def test_a_mirrored_table_shows_what_the_vendor_says(fake: FakeSource) -> None:
    """Neither triggers nor foreign keys of ours act on it, in that transaction alone; a CHECK does."""
    fake.entity, fake.mirrored = TICKET, True
    execute(fake, OWN_RULES)
    records = [{"id": A, "owner_id": C, "label": "a"}, {"id": B, "label": "never"}]
    result = fake.sync(records)
    assert (result.status, result.created, result.failed) == ("partial", 1, 1)
    assert [(key, stage, rule) for key, stage, rule, _ in letters(fake)] == [(B, "load", "23514")]
    assert fake.row(A)["label"] == "a"
    execute(fake, f"UPDATE fake.ticket SET owner_id = NULL, sync_hash = 0 WHERE id = '{A}'")
    assert fake.row(A)["label"] == "A"
    fake.sync(records, force=True)
    assert (fake.row(A)["label"], str(fake.row(A)["owner_id"])) == ("a", C)


def test_rows_that_were_made_here_are_never_missing_at_the_vendor(fake: FakeSource) -> None:
    """Owned and mirrored rows share the tables of a mirrored source; only the mirrored ones have a hash."""
    fake.entity, fake.mirrored = TICKET, True
    execute(fake, f"INSERT INTO fake.ticket (id, raw_data) VALUES ('{C}', '{{}}')")
    assert fake.sync().status == "success", "an empty vendor is not suspicious where only rows of ours are"
    fake.sync([{"id": A}, {"id": B}])
    assert fake.sync([{"id": A}]).deleted == 1
    assert {key for key, row in fake.rows().items() if row["archived"]} == {(B,)}
    with WarehouseReader(fake.url) as warehouse:
        assert [key for key, _ in warehouse.hashes(TICKET)] == [(A,)], "neither what is missing nor what is ours"


def told(fake: FakeSource, *removed: str) -> None:
    """Let the next reads tell what was deleted, and nothing else."""
    fake.report = ReadReport(changes_only=True, deleted_keys=removed)


def test_keys_that_a_fetch_reports_as_deleted_are_tombstoned_as_missing(fake: FakeSource) -> None:
    fake.entity = PAIR
    fake.sync([{"one": "a", "two": n} for n in range(200)])
    told(fake, "a 7", "a 8", "b 1")
    assert fake.sync(dry_run=True).deleted == fake.sync().deleted == 2
    assert {key: row["delete_reason"] for key, row in fake.rows().items() if row["archived"]} == {
        ("a", "7"): "missing", ("a", "8"): "missing"
    }  # fmt: skip
    told(fake, *(f"a {n}" for n in range(100)))
    with pytest.raises(SuspiciousRead, match="98 of the 198"):
        fake.sync()
    assert fake.sync(max_records=5).deleted == 0
    assert fake.sync(force=True).deleted == 98


def test_the_hash_of_a_record_can_be_computed_elsewhere(fake: FakeSource) -> None:
    """What Entity.hash_seed promises: any PostgreSQL says the same of the same text."""
    fake.entity = PAIR
    records = [{"one": one, "two": 1, "label": "ä\u20ac"} for one in ("b", "B", "a-b", "ab")]
    fake.sync(records)
    with WarehouseReader(fake.url) as warehouse:
        found = dict(warehouse.hashes(PAIR))
    assert list(found) == [("B", "1"), ("a-b", "1"), ("ab", "1"), ("b", "1")]
    with psycopg.connect(fake.url) as connection:
        for record in records:
            row = connection.execute(
                "SELECT hashtextextended(%s::text, %s)", [json.dumps(record), PAIR.hash_seed]
            ).fetchone()
            assert row == (found[str(record["one"]), "1"],)


def test_a_role_that_may_not_mirror_is_told_what_to_grant(fake: FakeSource) -> None:
    fake.entity, fake.mirrored = TICKET, True
    role = f"loader_{secrets.token_hex(4)}"
    execute(fake, f"CREATE ROLE {role} LOGIN PASSWORD 'loader'")
    own = fake.url
    try:
        for schema in ("fake", "orchestration", "identity"):
            execute(fake, f"GRANT USAGE ON SCHEMA {schema} TO {role}")
            execute(fake, f"GRANT ALL ON ALL TABLES IN SCHEMA {schema} TO {role}")
            execute(fake, f"GRANT ALL ON ALL SEQUENCES IN SCHEMA {schema} TO {role}")
        fake.url = re.sub("//[^@]+@", f"//{role}:loader@", own)
        with pytest.raises(NotConfigured, match="GRANT SET ON PARAMETER session_replication_role"):
            fake.sync([{"id": A}])
        with pytest.raises(NotConfigured, match="GRANT SET ON PARAMETER session_replication_role"):
            check_mirroring(fake.url, fake.source())
        with psycopg.connect(own) as connection:
            connection.execute(f"GRANT SET ON PARAMETER session_replication_role TO {role}")
        check_mirroring(fake.url, fake.source())
        assert fake.sync([{"id": A}]).created == 1
    finally:
        fake.url = own
        execute(fake, f"DROP OWNED BY {role}; DROP ROLE {role}")


def test_archived_by_the_vendor_and_restored(fake: FakeSource) -> None:
    fake.sync([thing("a")])
    fake.sync(page(thing("a", removed=True, removed_at="2024-02-03T04:05:06Z"), in_window=False))
    row = fake.row("a")
    assert (row["archived"], row["delete_reason"], f"{row['deleted_at']:%F %T}") == (
        True, "archived", "2024-02-03 04:05:06",
    )  # fmt: skip
    fake.sync(page(thing("a"), in_window=False))
    row = fake.row("a")
    assert (row["archived"], row["delete_reason"], row["deleted_at"]) == (False, None, None)


def test_a_time_of_deletion_is_a_flag_by_itself(fake: FakeSource) -> None:
    timed = replace(THING, deletes=replace(THING.deletes, flag=None))
    deleted = thing("b", removed_at="2024-02-03T04:05:06Z")
    fake.sync([thing("a", removed_at=""), deleted, thing("c", removed_at=None)], entity=timed)
    assert {key for key, row in fake.rows().items() if row["archived"]} == {("b",)}
    assert f"{fake.row('b')['deleted_at']:%F %T} {fake.row('b')['delete_reason']}" == "2024-02-03 04:05:06 archived"
    assert fake.sync([thing("b")], entity=timed).restored == 1


def test_what_a_full_read_does_not_find_is_missing(fake: FakeSource) -> None:
    """Tombstoned, not deleted; once; and restored when it returns."""
    fake.sync([thing("a"), thing("b"), thing("c", removed=True)])
    result = fake.sync([thing("a")], full=True)
    assert result.deleted == 1
    assert (fake.row("b")["archived"], fake.row("b")["delete_reason"]) == (True, "missing")
    assert fake.row("c")["delete_reason"] == "archived"
    assert fake.sync([thing("a")], full=True).deleted == 0
    back = fake.sync([thing("a"), thing("b")], full=True)
    assert (back.restored, back.updated, fake.row("b")["archived"]) == (1, 1, False)


def test_a_delta_proves_nothing_missing(fake: FakeSource) -> None:
    fake.sync([thing("a"), thing("b")])
    assert fake.sync([thing("a")]).deleted == 0


def test_merged_records_are_tombstoned_with_their_survivor_s_name(fake: FakeSource) -> None:
    fake.sync([thing("a"), thing("b"), thing("c"), thing("d")])
    result = fake.sync([thing("a", 2, absorbed="b; c")])
    assert (result.deleted, result.metrics["merged"], result.updated) == (2, 2, 1)
    assert [fake.row(key)["delete_reason"] for key in "abcd"] == [None, "merged into a", "merged into a", None]
    assert result.metrics["living_rows"] == 2
    buried = fake.rows()
    again = fake.sync([thing("a", 2, absorbed="b; c")], full=True, force=True)
    assert again.metrics["merged"] == 0
    assert fake.row("b") == buried["b",]


def test_a_record_that_was_deleted_before_it_was_known_to_be_merged_counts_once(fake: FakeSource) -> None:
    fake.sync([thing("a"), thing("b"), thing("c")])
    assert fake.sync([thing("b", 2, removed=True)]).deleted == 1
    result = fake.sync([thing("a", 2, absorbed="b")])
    assert (result.deleted, result.metrics["living_rows"]) == (0, 2)
    assert fake.row("b")["delete_reason"] == "merged into a"


def test_a_survivor_and_what_it_absorbed_in_one_batch(fake: FakeSource) -> None:
    """Read while the merge happened: the absorbed record was still listed, or came later than its survivor."""
    result = fake.sync([thing("a", absorbed="b"), thing("b")], [thing("c")], [thing("d", absorbed="e")])
    assert (fake.row("b")["archived"], fake.row("b")["delete_reason"]) == (True, "merged into a")
    assert (result.created, result.deleted, result.total_rows) == (4, 1, 4)


def test_a_record_does_not_tombstone_itself(fake: FakeSource) -> None:
    fake.sync([thing("a", absorbed="a"), thing("b", absorbed="")])
    assert not fake.row("a")["archived"]


@pytest.mark.parametrize(
    ("living", "missing", "stopped"), [(100, 100, True), (100, 99, False), (120, 24, False), (120, 25, True)]
)
def test_a_read_that_misses_a_fifth_is_stopped(fake: FakeSource, living: int, missing: int, stopped: bool) -> None:
    """Of a table of over a hundred; a read of nothing is stopped for any table."""
    fake.sync([thing(n) for n in range(living)])
    before = fake.rows()
    left = [thing(n, 2) for n in range(living - missing)]
    if stopped:
        with pytest.raises(SuspiciousRead, match="--force"):
            fake.sync(left, full=True)
        assert fake.rows() == before
        assert fake.history()[-1]["status"] == "failed"
    assert fake.sync(left, full=True, force=stopped).deleted == missing


def test_a_limited_read_buries_nothing(fake: FakeSource) -> None:
    fake.sync([thing(n) for n in range(10)])
    result = fake.sync([thing(n) for n in range(10)], full=True, max_records=3)
    assert (result.processed, result.deleted) == (3, 0)


def test_a_bad_record_is_not_missing(fake: FakeSource) -> None:
    """Its key is known, so the vendor still has it; one without a key may hide any row, so nothing is buried."""
    fake.sync([thing("a"), thing("b"), thing("c")])
    bad = fake.sync([thing("a"), thing("b", size="big")], full=True)
    assert (bad.failed, bad.deleted, fake.row("b")["archived"], fake.row("c")["archived"]) == (1, 1, False, True)
    hidden = fake.sync([thing("a"), {"name": "nobody"}], full=True)
    assert (hidden.failed, hidden.deleted, fake.row("b")["archived"]) == (1, 0, False)
    assert "delete_detection_skipped" in hidden.metrics["noticed"]


INCOMPRESSIBLE = "".join(random.Random(1).choices("abcdefghijklmnopqrstuvwxyz0123456789", k=9000))  # noqa: S311
REFUSED: dict[str, Callable[[int], Record | bytes]] = {
    "22": lambda n: json.dumps(thing(n)).replace("}", ', "strange": 1e200000}').encode(),
    "54": lambda n: thing(n, absorbed=INCOMPRESSIBLE),
}
"""Records that PostgreSQL alone refuses: a number beyond numeric inside jsonb, and a text too long for an index that is
not declared."""


@pytest.mark.parametrize("kind", REFUSED)
def test_bulk_fallback_isolates_one_row(fake: FakeSource, kind: str) -> None:
    """One bad record or several in a batch: all others are loaded, each refused one is a dead letter of its own."""
    execute(fake, f"CREATE INDEX ON {fake.entity.table} (absorbed)")
    for bad in ({0}, {6}, {0, 1, 2}, {1, 3, 5}, set(range(7))):
        execute(fake, f"DELETE FROM {fake.entity.table}")
        result = fake.sync([REFUSED[kind](n) if n in bad else thing(n) for n in range(7)], full=True)
        assert (result.created, result.failed, result.status) == (7 - len(bad), len(bad), "partial")
        assert {key for (key,) in fake.rows()} == {str(n) for n in range(7) if n not in bad}
        found = letters(fake)
        assert {key for key, *_ in found} == {str(n) for n in bad}
        assert {(stage, rule[:2]) for _, stage, rule, _ in found} == {("load", kind)}
        assert fake.sync([thing(n, 2) for n in range(7)]).failed == 0
        assert letters(fake) == []


def test_a_known_dead_letter_is_met_again_and_ends_when_its_record_loads(fake: FakeSource) -> None:
    """The same payload is not written anew, and a run that meets nothing else that is bad is a success."""
    bad = thing("a", size="big")
    first = fake.sync([bad])
    assert (first.status, first.failed, first.metrics["known_failed"]) == ("partial", 1, 0)
    respelt = json.dumps(bad, indent=1).encode()
    for record in (bad, respelt, bad):
        again = fake.sync([record], [thing("b")], full=True)
        assert (again.status, again.failed, again.metrics["known_failed"]) == ("success", 1, 1)
    assert letters(fake) == [("a", "coerce", "number", 4)]
    assert seen_by(fake) == [(first.history_id, again.history_id)]
    row = fake.history()[-1]
    assert (row["status"], row["records_failed"], row["performance_metrics"]["known_failed"]) == ("success", 1, 1)
    (again,) = replayed([fake.source()], fake.url)
    assert (again.status, again.failed, letters(fake)) == ("partial", 1, [("a", "coerce", "number", 5)])
    fake.sync([thing("a")])
    assert (letters(fake), len(letters(fake, "resolved"))) == ([], 1)
    assert fake.sync([bad], full=True).status == "partial", "what was cured and is bad again is new"


def seen_by(fake: FakeSource) -> list[Any]:
    with asking(fake.url) as connection:
        return connection.execute(
            "SELECT sync_history_id, last_sync_history_id FROM orchestration.dead_letter ORDER BY id"
        ).fetchall()


def test_a_changed_payload_is_a_new_dead_letter(fake: FakeSource) -> None:
    fake.sync([thing("a", size="big"), thing("b", size="big")])
    result = fake.sync([thing("a", size="huge"), thing("b", size="big")])
    assert (result.status, result.failed, result.metrics["known_failed"]) == ("partial", 2, 1)
    assert letters(fake) == [("b", "coerce", "number", 2), ("a", "coerce", "number", 1)]
    assert letters(fake, "superseded") == [("a", "coerce", "number", 1)]


def test_records_without_a_key_are_told_by_their_payload(fake: FakeSource) -> None:
    shown = [{"name": "nobody"}, {"name": "no one"}, {"name": "nobody"}]
    result = fake.sync(shown)
    assert (result.failed, result.metrics["known_failed"], len(letters(fake))) == (3, 1, 2)
    result = fake.sync(shown)
    assert (result.status, result.metrics["known_failed"], len(letters(fake))) == ("success", 3, 2)


def test_of_two_records_with_one_key_the_good_one_does_not_cure_the_bad(fake: FakeSource) -> None:
    """Whatever their order: it would be new, and the run partial, for ever."""
    for pages in ([[thing("a", size="big")], [thing("a")]], [[thing("a")], [thing("a", size="big")]]):
        fake.sync(*pages, full=True)
        again = fake.sync(*pages, full=True)
        assert (again.status, again.metrics["known_failed"]) == ("success", 1)
        assert len(letters(fake)) == 1


def test_two_bad_forms_of_a_record_do_not_supersede_each_other_in_turn(fake: FakeSource) -> None:
    pages = [[thing("a", size="big")], [thing("a", size="huge")]]
    assert fake.sync(*pages, full=True).status == "partial"
    assert [fake.sync(*pages, full=True).status for _ in range(2)] == ["success", "success"]
    assert len(letters(fake)) == 2


def test_what_is_waived_stays_so_until_its_payload_changes(fake: FakeSource) -> None:
    bad, nobody = thing("a", size="big"), {"name": "nobody"}
    fake.sync([thing("b"), thing("c"), bad, nobody])
    (found,) = [one for one in dead_letters.summary(fake.url, crm="fake") if one["rule"] == "number"]
    assert (found["records"], found["attempts"], "payload" in found, "record_key" in found) == (1, 1, False, False)
    number = found["first_id"]
    assert dead_letters.waive(fake.url, by="ann", reason="a test", ids=[number, 10**6]) == [number]
    assert dead_letters.waive(fake.url, by="ann", reason="a test", crm="fake", rule="number") == []
    shown = dead_letters.find(fake.url, found["first_id"])
    assert shown is not None
    assert (shown["status"], shown["waived_by"], shown["waive_reason"]) == ("waived", "ann", "a test")
    assert json.loads(shown["payload"]) == bad
    result = fake.sync([thing("b"), bad, nobody], full=True)
    assert (result.status, result.metrics["known_failed"], result.deleted) == ("success", 2, 0)
    assert "1 records" in result.metrics["noticed"]["delete_detection_skipped"]
    assert len(dead_letters.waive(fake.url, by="ann", reason="rubbish", crm="fake", entity="things")) == 1
    result = fake.sync([thing("b"), bad, nobody], full=True)
    assert (result.status, result.deleted) == ("success", 1), "what a person gave up hides nothing any more"
    assert replayed([fake.source()], fake.url) == []
    (again,) = replayed([fake.source()], fake.url, waived=True)
    assert (again.failed, len(letters(fake, "waived"))) == (2, 2)
    assert fake.sync([thing("a", size="huge")]).status == "partial"
    assert [key for key, *_ in letters(fake)] == ["a"]
    fake.sync([thing("a")])
    assert (letters(fake), letters(fake, "waived")) == ([], [(None, "coerce", "key_missing", 4)])


def test_what_is_too_large_is_left_to_the_vendor_by_a_replay(fake: FakeSource) -> None:
    """Its payload is a part of the record: loaded, it would empty the row that is there."""
    fake.entity = PAIR
    good = {"one": "a", "two": 1, "label": "as it was"}
    fake.sync([good])
    part = TooLarge(json.dumps({"one": "a", "two": 1}).encode())
    assert fake.sync([part]).status == "partial"
    assert replayed([fake.source()], fake.url) == []
    assert fake.row("a", "1")["label"] == "as it was"
    assert [(key, rule) for key, _, rule, _ in letters(fake)] == [("a 1", "size")]
    assert fake.sync([part]).status == "success"
    assert fake.sync([{**good, "label": "smaller"}]).status == "success"
    assert (letters(fake), fake.row("a", "1")["label"]) == ([], "smaller")


@pytest.mark.slow("sessions that wait for each other")
def test_what_a_running_sync_holds_cannot_be_waived_and_does_not_hang(fake: FakeSource) -> None:
    bad = thing("a", size="big")
    fake.sync([bad])
    number = dead_letters.summary(fake.url, crm="fake")[0]["first_id"]
    with psycopg.connect(fake.url) as running:
        running.execute("SELECT FROM orchestration.dead_letter WHERE id = %s FOR UPDATE", [number])
        with pytest.raises(WrongUse, match="when it has ended"):
            dead_letters.waive(fake.url, by="ann", reason="a test", ids=[number])
    assert dead_letters.waive(fake.url, by="ann", reason="a test", ids=[number]) == [number]


def test_the_only_row_may_be_deleted_when_the_source_says_so(fake: FakeSource) -> None:
    """A list without any row proves nothing; a source that names the row does."""
    fake.entity = PAIR
    fake.sync([{"one": "a", "two": 1}])
    told(fake, "a 1")
    result = fake.sync([{"one": "b", "two": 1}])
    assert (result.status, result.created, result.deleted) == ("success", 1, 1)


@pytest.mark.slow("the same in other circumstances")
def test_a_key_that_no_index_can_hold_is_a_dead_letter_like_any_other(fake: FakeSource) -> None:
    for status in ("partial", "success"):
        result = fake.sync([thing(INCOMPRESSIBLE), thing("b")], full=True)
        assert (result.failed, result.status, len(letters(fake))) == (1, status, 1)


@pytest.mark.parametrize("bad", [{0}, {17, 18, 400}, set(range(500))], ids=lambda bad: f"{len(bad)} bad")
def test_what_postgresql_refuses_of_a_batch_is_found_by_one_function(
    fake: FakeSource, monkeypatch: pytest.MonkeyPatch, bad: set[int]
) -> None:
    """However many are bad, a handful of statements is sent; all others are loaded, restored or tombstoned as ever."""
    fake.sync([thing(n, removed=n == 50) for n in range(100)])
    sent: list[str] = []
    run = Transaction.run

    def noted(self: Transaction, statement: Any) -> Any:
        sent.append(str(statement))
        return run(self, statement)

    monkeypatch.setattr(Transaction, "run", noted)
    monkeypatch.setattr(resource, "CHUNK", 500)
    refused = REFUSED["22"]
    before = fake.rows()
    result = fake.sync([refused(n) if n in bad else thing(n, 2, removed=n == 60) for n in range(500)], full=True)
    after = fake.rows()
    assert (result.failed, result.processed) == (len(bad), 500)
    check_counts(result, before, after, 500 - len(bad))
    assert {key for key, *_ in letters(fake)} == {str(n) for n in bad}
    assert len(sent) < 30


def test_composite_keys_of_bad_records_hide_no_other(fake: FakeSource) -> None:
    """Also where a part of the key has blanks in it."""
    pairs = FakeSource(fake.url, PAIR)
    pairs.sync([{"one": one, "two": two} for one in ("a", "b c", "d") for two in (1, 2)])
    strict = replace(PAIR, rules=(one_of("label", "good", severity="reject"),))
    shown = [{"one": "a", "two": 1}, {"one": "b c", "two": 2, "label": "bad"}, {"one": "d", "two": 1}]
    result = pairs.sync(shown, entity=strict)
    assert (result.failed, result.deleted) == (1, 3)
    assert {key for key, row in pairs.rows().items() if not row["archived"]} == {("a", "1"), ("b c", "2"), ("d", "1")}


@pytest.mark.parametrize("retention", [None, timedelta(days=30_000)])
@pytest.mark.parametrize("living", [1, 6, 60])
def test_a_read_that_finds_none_of_the_rows_again_is_stopped_at_any_size(
    fake: FakeSource, living: int, retention: timedelta | None
) -> None:
    """A sheet of 60 rows that shows one row of #REF! is not that sheet; nor is the list of another account, of which
    the vendor keeps some years.
    """
    entity = replace(THING, cadence=replace(THING.cadence, retention=retention))
    fake.sync([thing(n) for n in range(living)], entity=entity)
    with pytest.raises(SuspiciousRead, match=f"no longer shows {living} of the"):
        fake.sync([thing("#REF!")], entity=entity, full=True)
    assert len(fake.rows()) == living
    assert fake.sync([thing("#REF!")], entity=entity, full=True, force=True).deleted == living


@pytest.mark.parametrize(
    "raw",
    [b'{"id":"a","size":"big","strange":1e200000}', b'{"id":"a","name":"x","strange":1e200000}', b"nothing", b"\xff\0"],
)
def test_whatever_was_sent_is_a_letter(fake: FakeSource, raw: bytes) -> None:
    result = fake.sync([raw, thing("b")])
    assert (result.failed, result.created, len(letters(fake))) == (1, 1, 1)
    (again,) = replayed([fake.source()], fake.url)
    assert (again.created, again.failed, len(letters(fake))) == (0, 1, 1)


@pytest.mark.parametrize(
    ("member", "name"),
    [
        (b'"name":"a\xff"', "a\ufffd"),
        (b'"name":"a\xff\0"', "a\ufffd\ufffd"),
        (b'"name":"a\\ud800"', "a\ufffd"),
        (b'"name":"a","strange":["\\udc00"]', "a"),
        (b'"name":"a","strange":NaN', "a"),
        (b'"name":"a","amount":1e200000', "a"),
        (b'"name":"a","doc":"{\\"x\\":\\"\\\\ud800\\"}"', "a"),
        (b'"name":"a","doc":{"x":[-Infinity,"\\ud800"]}', "a"),
        (b'"name":"a","absorbed":"' + INCOMPRESSIBLE.encode() + b'"', "a"),
        (b'"name":"a","more":["no object"]', "a"),
    ],
)
def test_what_postgresql_cannot_hold_costs_no_record(fake: FakeSource, member: bytes, name: str) -> None:
    """Bytes that are no text, half an emoji, no numbers, numbers beyond numeric; and a long text only where it fits."""
    result = fake.sync([b'{"id":"a",' + member + b"}", thing("b")])
    assert (result.status, result.failed, result.created) == ("success", 0, 2)
    assert (fake.row("a")["name"], letters(fake)) == (name, [])
    assert fake.row("a")["raw_data"]["id"] == "a"


def test_a_text_too_long_for_its_index_costs_no_record(fake: FakeSource) -> None:
    result = fake.sync([thing("a", name=INCOMPRESSIBLE), thing("b", name="x" * 2_600)])
    assert (result.failed, result.created, result.metrics["values_lost"]["name"]["lost"]) == (0, 2, 1)
    assert (fake.row("a")["name"], fake.row("b")["name"]) == (None, "x" * 2_600)
    assert fake.row("a")["raw_data"]["name"] == INCOMPRESSIBLE


@pytest.mark.parametrize("at", ["0000-01-01T00:00:00Z", "9999-12-31T23:59:59-01:00", "0001-01-01T00:00:00+01:00"])
def test_a_year_that_python_lacks_is_null(fake: FakeSource, at: str) -> None:
    """Arrow reads it; then the cursor and the sample could not be read back, and the run ended."""
    result = fake.sync([thing("a") | {"at": at}, thing("b")])
    assert (result.failed, result.created, result.watermark is not None) == (0, 2, True)
    assert fake.row("a")["at"] is None


def test_composite_keys(fake: FakeSource) -> None:
    pairs = FakeSource(fake.url, PAIR)
    first = [
        {"one": "a", "two": 1, "label": "x"},
        {"one": "a", "two": 2},
        {"one": "b", "two": 1},
        {"one": "a", "two": 2},
    ]
    result = pairs.sync(first)
    assert (result.created, result.filtered) == (3, 1)
    result = pairs.sync([{"one": "a", "two": 1, "label": "y"}, {"one": "b", "two": 1}])
    assert (result.updated, result.unchanged, result.deleted) == (1, 1, 1)
    assert [key for key, row in pairs.rows().items() if row["archived"]] == [("a", "2")]
    bad = pairs.sync([{"one": "a", "two": "many"}, {"one": "b", "two": 1}])
    assert (bad.failed, bad.deleted) == (1, 0), "part of a key cannot say which row it hides"


def test_a_window_read_completely_tombstones_what_left_it(fake: FakeSource) -> None:
    """by_window: rows within it only, and never what lies outside."""
    from datetime import UTC, datetime, timedelta

    log = FakeSource(fake.url, LOG)
    now = datetime.now(UTC)

    def entry(key: str, days: float) -> Record:
        return {"id": key, "at": (now - timedelta(days=days)).isoformat()}

    log.sync([entry("old", 200), entry("left", 10), entry("kept", 5)])
    result = log.sync([entry("kept", 5)])
    assert (result.mode, result.deleted) == ("delta", 1)
    assert {key: row["archived"] for (key,), row in log.rows().items()} == {"old": False, "left": True, "kept": False}


def test_custom_properties_keep_what_is_not_declared(fake: FakeSource) -> None:
    """A field without a column is kept there."""
    fake.sync([thing("a", more={"shade": "red", "roof": {"pitch": 4}, "none": None}, nobody="asked")])
    row = fake.row("a")
    assert (row["shade"], row["custom_properties"]) == ("red", {"roof": {"pitch": 4}})
    assert row["raw_data"]["nobody"] == "asked"


def test_full_refresh_never_shows_fewer_rows(fake: FakeSource) -> None:
    """A reader who polls during a full run sees the table as it was, then as it is."""
    fake.sync([thing(n) for n in range(20)])
    seen: list[int] = []

    def look() -> None:
        with psycopg.connect(fake.url) as connection:
            seen.append(connection.execute(f"SELECT count(*) FROM {THING.table} WHERE NOT archived").fetchone()[0])  # type: ignore[index]

    pages: list[Any] = []
    for n in range(0, 18, 3):
        pages += [[thing(k, 2) for k in range(n, n + 3)], look]
    result = fake.sync(*pages, full=True)
    assert (result.updated, result.deleted) == (18, 2)
    assert seen == [20] * 6

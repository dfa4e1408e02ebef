"""Every statement of a run has one plan, whatever PostgreSQL believes of its tables.

Each statement is explained in the session and at the moment in which the run sends it, on tables of 100,000 rows, with
statistics as they are, of a table thought empty (autovacuum came by during an uncommitted load), never counted, once
small, or huge. What is expected is said by index: a statement of the loader that looks something up reads that index
and no other.
"""

import contextlib
import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pyarrow as pa
import pytest
from psycopg import sql
from psycopg.rows import dict_row, tuple_row

from warehouse_pipelines import warehouse
from warehouse_pipelines.errors import SuspiciousRead
from warehouse_pipelines.loading import dead_letters, replay, sync_history, warehouse_reader
from warehouse_pipelines.loading.coerce import Coercer
from warehouse_pipelines.loading.loader import Loader
from warehouse_pipelines.loading.rejects import Reject
from warehouse_pipelines.model.entity import Entity
from warehouse_pipelines.model.reading import Pages, ReadContext, ReadReport, ReadRequest, Window
from warehouse_pipelines.model.source import Source
from warehouse_pipelines.schema import tables
from warehouse_pipelines.schema.migrate import engine
from warehouse_pipelines_tests.harness.fake_source import LOG, PAIR, THING, FakeSource, Settings, thing

ROWS = 100_000
LETTER, HISTORY = "orchestration.dead_letter", "orchestration.sync_history"
LINK = replace(PAIR, name="links", table="fake_link", key="one two", index="two label")
"""Its key begins with what all rows share, and each other column has an index that is no worse to a wrong estimate."""


def no_pages(request: ReadRequest, context: ReadContext) -> Pages:
    yield from ()
    return ReadReport()


FAKE = Source(
    name="fake", title="Fake", transport="file", settings=Settings, fetch=no_pages,
    check=lambda: "fine", entities=(THING, LINK, LOG),
)  # fmt: skip
BIG = (THING.table, LINK.table, LOG.table, LETTER, HISTORY)

FILL = f"""
INSERT INTO {THING.table} (id, name, at, raw_data, sync_hash)
    SELECT n::text, 'thing ' || n, timestamptz '2024-01-01' + n * interval '1 s', '{{}}', n
    FROM generate_series(1, {ROWS}) n;
INSERT INTO {LOG.table} (id, name, at, raw_data, sync_hash) SELECT id, name, at, raw_data, sync_hash FROM {THING.table};
INSERT INTO {LINK.table} (one, two, label, raw_data, sync_hash)
    SELECT CASE WHEN n % 2 = 0 THEN 'most' ELSE 'x' || n END, CASE WHEN n % 2 = 1 THEN 7 ELSE n END, 'same', '{{}}', n
    FROM generate_series(1, {ROWS}) n;
INSERT INTO {LETTER} (sync_history_id, last_sync_history_id, crm_source, sync_type, record_key, stage, rule,
        error_message, payload, payload_hash)
    SELECT 1, 1, 'fake', CASE WHEN n % 2 = 0 THEN 'things' ELSE 'links' END, n::text, 'coerce', 'r', 'm',
        to_jsonb(n), n
    FROM generate_series(1, {ROWS}) n;
INSERT INTO {HISTORY} (crm_source, sync_type, start_time, end_time, status, configuration)
    SELECT 'fake', 'things', now() - n * interval '1 h', now(), 'success',
        '{{"cursor": "2024-01-01T00:00:00+00:00", "mode": "full", "dry_run": false, "state": {{"a": "b"}}}}'
    FROM generate_series(1, 100) n;
INSERT INTO {HISTORY} (crm_source, sync_type, start_time, end_time, status, error_message)
    SELECT 'other', 'others', now() - n * interval '1 min', now(), 'failed', 'no' FROM generate_series(1, {ROWS}) n;
"""

STATISTICS = {
    "true": "",
    "never counted": "reltuples = -1, relpages = 0",
    "empty": "reltuples = 0",
    "empty no pages": "reltuples = 0, relpages = 0",
    "ten rows on a page": "reltuples = 10, relpages = 1",
    "ten rows": "reltuples = 10",
    "huge": "reltuples = 1e9",
}
"""What pg_class says of the tables and their indexes."""

ANALYZED = {
    "true": (True, False), "never counted": (False,), "empty": (True,), "empty no pages": (True,),
    "ten rows on a page": (False,), "ten rows": (True,), "huge": (False,),
}  # fmt: skip
"""With what ANALYZE says of the columns, without, or both."""

MOST_APART = {("true", True), ("never counted", False), ("empty no pages", True), ("huge", False)}
OTHERS = (pytest.mark.slow("statistics between those that lie furthest apart"),)


@pytest.fixture(scope="module")
def filled_url(shared_url: str) -> str:
    FakeSource(shared_url)
    with engine(shared_url).begin() as made:
        tables.align(made, [LINK])
    with psycopg.connect(shared_url) as connection:
        for table in BIG:
            connection.execute(f"ALTER TABLE {table} SET (autovacuum_enabled = false)")
        connection.execute(FILL)
    return shared_url


@pytest.fixture(
    scope="module",
    params=[
        pytest.param((name, analyzed), marks=() if (name, analyzed) in MOST_APART else OTHERS)
        for name in STATISTICS
        for analyzed in ANALYZED[name]
    ],
    ids=lambda given: (given[0] + (" analyzed" if given[1] else " not analyzed")).replace(" ", "_"),
)
def url(request: pytest.FixtureRequest, filled_url: str) -> str:
    """The warehouse with these statistics."""
    name, analyzed = request.param
    with psycopg.connect(filled_url, autocommit=True) as connection:
        connection.execute(f"ANALYZE {', '.join(BIG)}")
        oids = connection.execute(
            "SELECT array_agg(oid::int8) FROM unnest(%(tables)s::regclass[]) t CROSS JOIN LATERAL ("
            " SELECT t::oid UNION ALL SELECT indexrelid FROM pg_index WHERE indrelid = t) of (oid)",
            {"tables": list(BIG)},
        ).fetchone()
        assert oids is not None
        if STATISTICS[name]:
            connection.execute(f"UPDATE pg_class SET {STATISTICS[name]} WHERE oid = ANY(%s)", [oids[0]])
        if not analyzed:
            connection.execute("DELETE FROM pg_statistic WHERE starelid = ANY(%s)", [oids[0]])
    return filled_url


Plan = dict[str, Any]


class Seen:
    """The statements of a session with their plans."""

    def __init__(self) -> None:
        self.plans: list[tuple[str, Plan]] = []

    def note(self, statement: str, explain: Callable[[str], Any]) -> None:
        if statement.split(maxsplit=1)[0] in {"SELECT", "WITH", "INSERT", "UPDATE", "DELETE"}:
            found = explain(statement)
            found = json.loads(found) if isinstance(found, str) else found
            self.plans.append((" ".join(statement.split()), found[0]["Plan"]))


EXPLAIN = """
    CREATE FUNCTION pg_temp.explained(statement text) RETURNS json LANGUAGE plpgsql AS $$
        DECLARE found json;
        BEGIN EXECUTE 'EXPLAIN (FORMAT JSON) ' || statement INTO found; RETURN found; END $$
"""
"""ADBC fetches by COPY, which takes no EXPLAIN."""


class Listening:
    """A cursor of ADBC that explains each statement before it is run."""

    def __init__(self, cursor: Any, seen: Seen) -> None:
        self._cursor, self._seen = cursor, seen
        cursor.execute(EXPLAIN)

    def execute(self, statement: str) -> None:
        def explain(asked: str) -> Any:
            self._cursor.execute(f"SELECT pg_temp.explained($asked${asked}$asked$)")
            return self._cursor.fetchone()[0]

        self._seen.note(statement.strip(), explain)
        self._cursor.execute(statement)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cursor, name)


def nodes(plan: Plan, loops: bool = False) -> Iterator[tuple[Plan, bool]]:
    """Yield each node, and whether it is run once for each row of another."""
    yield plan, loops
    for child in plan.get("Plans", []):
        again = loops or (plan["Node Type"] == "Nested Loop" and child["Parent Relationship"] == "Inner")
        again = again or child["Parent Relationship"] == "SubPlan"
        yield from nodes(child, again)


NAMES = {table.rpartition(".")[2] for table in BIG}


def check(statement: str, plan: Plan, walks: bool = False) -> dict[str, set[str]]:
    """Refuse a plan that walks through a big table: within a loop never, outside of one unless it ``walks``.

    Returns by table the indexes that are looked into.
    """
    used: dict[str, set[str]] = {}
    said = f"{statement}\n{json.dumps(plan, indent=1)}"
    for node, loops in nodes(plan):
        assert node["Node Type"] not in {"Hash Join", "Merge Join"}, said
        if node["Node Type"] == "Bitmap Heap Scan":
            below = [one for one, _ in nodes(node) if one["Node Type"] == "Bitmap Index Scan"]
            assert all("Index Cond" in one for one in below), said
            used.setdefault(node["Relation Name"], set()).update(one["Index Name"] for one in below)
            continue
        if node.get("Relation Name") not in NAMES or node["Node Type"] == "ModifyTable" or "TID Cond" in node:
            continue
        if "Index Name" in node and "Index Cond" in node:
            used.setdefault(node["Relation Name"], set()).add(node["Index Name"])
        else:
            assert walks, f"a walk through {node['Relation Name']}: {said}"
            assert not loops, f"a walk through {node['Relation Name']} for each of other rows: {said}"
    return used


def table_of(entity: Entity, records: list[dict[str, Any]]) -> pa.Table:
    return Coercer("fake", entity).table([json.dumps(record).encode() for record in records])


@pytest.fixture
def loaders(url: str) -> Iterator[Callable[..., tuple[Loader, Seen]]]:
    with ExitStack() as stack:

        def open_one(entity: Entity, **options: Any) -> tuple[Loader, Seen]:
            loader = Loader(url, FAKE, entity, history_id=5, token=1, force=False, detect_deletes=True, **options)
            stack.callback(loader.close)
            seen = Seen()
            loader.transaction.cursor = Listening(loader.transaction.cursor, seen)
            return loader, seen

        yield open_one


def indexes(seen: Seen) -> set[tuple[str, str]]:
    """Return the table and index of every lookup that was seen; no statement may walk."""
    found = set()
    for statement, plan in seen.plans:
        for table, names in check(statement, plan).items():
            found |= {(table, name) for name in names}
    return found


def test_a_batch_is_looked_up_by_key_alone(loaders: Callable[..., tuple[Loader, Seen]]) -> None:
    """Rows that are there and new ones, some that absorb others, some that have dead letters."""
    loader, seen = loaders(THING)
    records = [thing(n, 2) for n in range(ROWS - 4000, ROWS + 500)]
    records += [thing(ROWS + 1000 + n, 2, absorbed=f"{n}; {n + 1}") for n in range(1, 400, 2)]
    loader.load(table_of(THING, records))
    assert (loader.created, loader.tombstones.absorbed) == (499 + 200, 400)
    assert indexes(seen) == {("fake_thing", "fake_thing_pkey"), ("dead_letter", "idx_dead_letter_open_key")}
    assert len(seen.plans) == 4, "the merge, what was seen, the dead letters, and who was absorbed"
    seen.plans.clear()
    loader.load(table_of(THING, [thing("new", 2)]))
    assert len(seen.plans) == 3, "nobody was absorbed, so nobody is looked for"


@pytest.mark.slow("the same in other circumstances")
def test_a_batch_of_two_keys_is_looked_up_by_both(loaders: Callable[..., tuple[Loader, Seen]]) -> None:
    loader, seen = loaders(LINK)
    loader.load(table_of(LINK, [{"one": "most", "two": n, "label": "same"} for n in range(2, 10_002, 2)]))
    loader.load(table_of(LINK, [{"one": f"x{n}", "two": 7, "label": "same"} for n in range(1, 10_001, 2)]))
    assert indexes(seen) == {("fake_link", "fake_link_pkey"), ("dead_letter", "idx_dead_letter_open_key")}


@pytest.mark.parametrize(("entity", "column"), [(THING, "name"), (LINK, "label")])
@pytest.mark.slow("the same in other circumstances")
def test_columns_that_are_kept_and_emptied_are_looked_up_by_key(
    loaders: Callable[..., tuple[Loader, Seen]], entity: Entity, column: str
) -> None:
    """Without the deleted flag too, where there is one."""
    loader, seen = loaders(entity)
    records = [thing(n, 2) | {"one": "most", "two": n} for n in range(2, 10_002, 2)]
    table = table_of(entity, [{key: value for key, value in one.items() if key != column} for one in records])
    loader.load(table.drop_columns([name for name in (column, "archived", "deleted_at") if name in table.column_names]))
    assert (loader.updated, loader.unchanged) == (5_000, 0)
    loader.empty_returned({column})
    count = len(seen.plans)
    loader.empty_returned(set())
    assert len(seen.plans) == count + 1
    assert (loader.updated, loader.unchanged) == (5_000, 0)
    name = entity.table.rpartition(".")[2]
    assert {used for used in indexes(seen) if used[0] == name} == {(name, f"{name}_pkey")}
    assert loader.transaction.row(
        sql.SQL("SELECT count(*) FROM {} WHERE {} IS NULL").format(loader._stored.table, sql.Identifier(column))
    ) == (5_000,)


def test_dead_letters_are_looked_up_by_what_they_are(loaders: Callable[..., tuple[Loader, Seen]]) -> None:
    loader, seen = loaders(THING)
    rejects = [Reject(b'{"n": %d}' % n, str(n), "coerce", "r", "m", (str(n),)) for n in range(0, 10_000, 2)]
    loader.write_dead_letters(rejects)
    loader.dead_letters.close()
    assert (loader.failed, loader.dead_letters.new) == (5000, 5000)
    assert indexes(seen) == {
        ("dead_letter", "idx_dead_letter_open_key"), ("dead_letter", "dead_letter_pkey"),
    }  # fmt: skip
    (written,) = [plan for statement, plan in seen.plans if "ON CONFLICT (open_payload)" in statement]
    arbiters = [node["Conflict Arbiter Indexes"] for node, _ in nodes(written) if "Conflict Arbiter Indexes" in node]
    assert arbiters == [["dead_letter_once"]]
    seen.plans.clear()
    loader.dead_letters.resolve(list(range(1, 3000)))
    assert indexes(seen) == {("dead_letter", "dead_letter_pkey")}


@pytest.mark.slow("the same in other circumstances")
def test_what_is_missing_is_found_by_one_walk(loaders: Callable[..., tuple[Loader, Seen]]) -> None:
    """Of the table, which asks ``seen`` by key; ``seen`` is walked through for no row."""
    for entity, window in (
        (THING, Window(None, datetime.now(UTC))),
        (LINK, Window(None, datetime.now(UTC))),
        (LOG, Window(datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 1, 1, 4, tzinfo=UTC))),
    ):
        loader, seen = loaders(entity)
        loader.load(table_of(entity, [thing(n) | {"one": "most", "two": n} for n in range(2, 10_002, 2)]))
        seen.plans.clear()
        if window.since is None:  # the tombstones have the condition of the count, and take a minute
            with pytest.raises(SuspiciousRead):
                loader.tombstones.tombstone_missing(window, everything=window.since is None)
        else:
            loader.tombstones.force = True
            loader.tombstones.tombstone_missing(window, everything=window.since is None)
            assert loader.deleted > 5_000
        for statement, plan in seen.plans:
            used = check(statement, plan, walks=window.since is None)
            for node, loops in nodes(plan):
                if node.get("Relation Name") == "seen":
                    assert loops
                    assert node["Index Name"] == "seen_pkey"
                    assert "Index Cond" in node
            if window.since:
                assert "idx_fake_entry_at" in used["fake_entry"], statement


def test_the_table_is_asked_for_living_rows_and_counted_without_a_loop(
    loaders: Callable[..., tuple[Loader, Seen]],
) -> None:
    loader, seen = loaders(THING)
    loader.tombstones.tombstone([str(n) for n in range(1, 5000)], Window(None, datetime.now(UTC)))
    assert loader.count_rows() == (ROWS, ROWS - 4999)
    for statement, plan in seen.plans:
        check(statement, plan, walks=True)


class Explaining(psycopg.Connection[Any]):
    """A session of psycopg that explains each statement before it is run."""

    seen: Seen

    def execute(self, query: Any, params: Any = None, **options: Any) -> Any:
        self.explain(query, params)
        return super().execute(query, params, **options)

    def explain(self, query: Any, params: Any) -> None:
        text = query.as_string(self) if isinstance(query, sql.Composable) else query

        def ask(statement: str) -> Any:
            asked = f"EXPLAIN (FORMAT JSON) {statement}"
            return self.cursor(row_factory=tuple_row).execute(asked, params).fetchone()[0]  # type: ignore[index]

        self.seen.note(text.strip(), ask)


class ExplainingServerCursor(psycopg.ServerCursor[Any]):
    """What it declares is explained first."""

    def execute(self, query: Any, params: Any = None, **options: Any) -> Any:
        self._conn.explain(query, params)  # type: ignore[attr-defined]
        return super().execute(query, params, **options)


@pytest.fixture
def session(url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Explaining]:
    """The session that everybody gets who asks for one; nothing of what it does stays."""
    with Explaining.connect(url, row_factory=dict_row) as connection:
        connection.server_cursor_factory = ExplainingServerCursor
        connection.seen = Seen()
        monkeypatch.setattr(warehouse, "session", lambda url: contextlib.nullcontext(connection))
        yield connection
        connection.rollback()


def test_the_history_is_asked_without_a_loop(session: Explaining) -> None:
    """Once a run, and its rows are committed one by one, so its statistics are seldom wrong. To wrong ones its primary
    key, read from the end, is as good as the index of the entity: one walk at most.
    """
    sync_history.last_good(
        session, FAKE, replace(THING, cadence=replace(THING.cadence, full_every=timedelta(days=1), never_full=""))
    )
    sync_history.last_state(session, FAKE, THING)
    sync_history.last_rows(session, FAKE, THING)
    sync_history.begin(session, FAKE, THING, start_time=datetime.now(UTC), configuration={}, run_id=None)
    sync_history.close_dead(session, "fake", "things")
    sync_history.fail(session, FAKE, THING, ValueError("no"), {}, history_id=0, token=1)
    for statement, plan in session.seen.plans:
        used = check(statement, plan, walks=True).get("sync_history", set())
        few = {"idx_sync_history_status"} if "status = 'running'" in statement else set()
        assert used <= {"idx_sync_history_crm_type"} | few, statement
        assert all(node["Node Type"] != "Seq Scan" for node, _ in nodes(plan)), statement
    assert len(session.seen.plans) == 7


def test_the_dead_letters_of_an_entity_are_read_by_index(session: Explaining) -> None:
    ids = dead_letters.pending("", FAKE, THING)
    assert len(ids) == ROWS / 2
    request = ReadRequest(entity=THING, window=Window(None, datetime.now(UTC)))
    list(replay.DeadLetterReader("", ids[:2000])(request, ReadContext()))
    (_, listing), *reading = session.seen.plans
    check("listing", listing, walks=True)
    assert [check(statement, plan) for statement, plan in reading] == [{"dead_letter": {"dead_letter_pkey"}}] * 2


@pytest.mark.slow("the same in other circumstances")
def test_what_is_stored_is_read_by_key(session: Explaining) -> None:
    reader = warehouse_reader.WarehouseReader("")
    assert len(reader.records(THING.table, [str(n) for n in range(1, 1000)])) == 999
    assert len(reader.records(LINK.table, [f"most {n}" for n in range(2, 1002, 2)], "one two")) == 500
    used = [found for statement, plan in session.seen.plans if (found := check(statement, plan))]
    assert used == [{"fake_thing": {"fake_thing_pkey"}}, {"fake_link": {"fake_link_pkey"}}]
    session.seen.plans.clear()
    begin = datetime(2024, 1, 1, 2, tzinfo=UTC)
    assert sum(1 for _ in reader.keys_in(THING, Window(begin, begin + timedelta(seconds=500)))) == 500
    ((statement, plan),) = session.seen.plans
    assert check(statement, plan) == {"fake_thing": {"idx_fake_thing_at"}}
    session.seen.plans.clear()
    assert sum(1 for _ in reader.keys(THING.table)) == ROWS
    reader.archived(THING.table, datetime.now(UTC))
    assert sum(1 for _ in reader.hashes(LINK)) == ROWS
    assert sum(1 for _ in reader.keys_in(THING, Window(None, datetime.now(UTC)))) == ROWS
    for statement, plan in session.seen.plans:
        check(statement, plan, walks=True)
    assert len(session.seen.plans) == 4

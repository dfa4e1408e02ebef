"""What is read for a page of a table, by PostgreSQL's own count: no more than a limit, however large it is."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from psycopg import sql

from warehouse_pipelines import warehouse
from warehouse_pipelines.model.accounts import Account, expanded
from warehouse_pipelines.schema import account_views, reading
from warehouse_pipelines.schema.migrate import engine
from warehouse_pipelines.serving.browsing import filters
from warehouse_pipelines.serving.browsing.rows import CANDIDATES, WALKED, Page, Search, Wanted, read_exact, read_page
from warehouse_pipelines.serving.browsing.search import searched, tries
from warehouse_pipelines.serving.browsing.table import Catalogue, Table
from warehouse_pipelines.serving.database import Pool
from warehouse_pipelines.settings import sql_folder
from warehouse_pipelines.sources import SOURCES
from warehouse_pipelines_tests.harness.crm_database import USER, A

ROWS = 45_000
SIZE = 50
WHO, OURS = UUID(USER), UUID(A)
ZONE = ZoneInfo("America/New_York")
SCANS = ("Seq Scan", "Index Scan", "Index Only Scan", "Bitmap Heap Scan", "Tid Scan")


@dataclass(frozen=True)
class Analyst:
    """Whoever asks; may see everything."""

    user_id: UUID = WHO
    organization_id: UUID = OURS
    address: str = ""
    sees_personal_data: bool = True


class Recorder:
    """A session that remembers what it was asked."""

    def __init__(self, session: Any) -> None:
        self.session, self.asked = session, []  # type: Any, list[tuple[Any, Any]]

    async def execute(self, statement: Any, given: Any = None) -> Any:
        self.asked.append((statement, given))
        return await self.session.execute(statement, given)


def fill(url: str, rows: int) -> None:
    with warehouse.session(url) as found:
        found.execute(
            """
            INSERT INTO genius_lead (lead_id, email, firstname, lastname, created, status, division_id, raw_data,
                sync_created_at, sync_updated_at)
            SELECT n, 'person' || n || '@example.test', 'Ada', 'Person' || n,
                timestamptz '2020-01-01' + n * interval '1 minute', (1 + (n %% 10 = 0)::int)::text, n %% 7,
                '{}', now(), now()
            FROM generate_series(1, %s) AS n
            """,
            [rows],
        )
        found.execute(
            """
            INSERT INTO marts.activity_timeline
                (source_table, source_key, kind, certainty, crm_source, occurred_at, occurred_day)
            SELECT 'callrail_call', 'c' || n, 'call', 1, 'callrail', timestamptz '2020-01-01' + n * interval '1 minute',
                date '2020-01-01' + n / 500
            FROM generate_series(1, %s) AS n
            """,
            [rows],
        )
        found.execute("VACUUM ANALYZE genius_lead")
        found.execute("VACUUM ANALYZE marts.activity_timeline")


@pytest.fixture(scope="module")
def url(shared_url: str) -> str:
    fill(shared_url, ROWS)
    return shared_url


Ask = Callable[[Table], Wanted]


def where(*spelled: str, **more: Any) -> Ask:
    def ask(table: Table) -> Wanted:
        found = tuple(filters.read(table, one, ZONE) for one in spelled)
        return Wanted(SIZE, table.order(more.get("sort")), filters=found, longest=100, position=more.get("position"))

    return ask


def read(url: str, label: str, ask: Ask, *, clear: bool) -> tuple[Page, int, set[str]]:
    """Return a page, how many rows of the table were read for it, and by which nodes of the plans."""

    async def work() -> tuple[Page, int, set[str]]:
        pool = Pool(url)
        table = await Catalogue(pool).table(label, clear=clear, of_all=True)
        async with pool.reading(Analyst(), clear=clear) as session:
            recorder: Any = Recorder(session)
            page = await read_page(recorder, table, ask(table))
            found = [await explain(session, statement, given) for statement, given in recorder.asked[1:]]
        await pool.close()
        return page, *counted(found, table.name)

    return asyncio.run(work())


async def explain(session: Any, statement: Any, given: Any) -> Any:
    row = await (await session.execute(sql.SQL("EXPLAIN (ANALYZE, FORMAT JSON) ") + statement, given)).fetchone()
    return row["QUERY PLAN"][0]["Plan"]


def counted(plans: list[Any], name: str) -> tuple[int, set[str]]:
    rows, nodes, waiting = 0.0, set(), list(plans)
    while waiting:
        node = waiting.pop()
        waiting += node.get("Plans", [])
        if node.get("Relation Name") == name:
            nodes.add(node["Node Type"])
            per_loop = node["Actual Rows"] + node.get("Rows Removed by Filter", 0)
            rows += per_loop * node["Actual Loops"]
    return round(rows), nodes


CASES: dict[str, tuple[Ask, int, int]] = {
    "the first page": (where(), SIZE, SIZE + 1),
    "in the order of an index": (where(sort="created"), SIZE, SIZE + 2),
    "a page far behind": (lambda t: replace(where()(t), position=("40000",)), SIZE, SIZE + 1),
    "a page before": (lambda t: replace(where()(t), position=("40000",), backwards=True), SIZE, SIZE + 1),
    "a key": (where("lead_id.is:700"), 1, 2),
    "a range of an index": (where("created.from:2020-01-10", "created.to:2020-01-11"), SIZE, 2 * 1440 + SIZE + 2),
    "too many for an index": (where("status.is:1"), SIZE, CANDIDATES + 2 * SIZE + 20),
    "no index and many rows": (where("substatus.empty"), SIZE, 2 * SIZE + 5),
    "no index and no rows": (where("substatus.is:7"), 0, WALKED),
    "an index and nothing of it": (where("division_id.is:3", "substatus.is:7"), 0, CANDIDATES + 1 + WALKED),
    "a word that is nowhere": (
        lambda t: replace(where()(t), search=Search(searched(t), "nowhere")), 0, WALKED,
    ),
}  # fmt: skip


def test_where_the_key_is_masked_an_index_leads_and_pages_go_on(url: str) -> None:
    """Of the timeline a part of the key may be somebody's address, so no index has the order of what is seen."""
    page, read_rows, nodes = read(url, "marts.activity_timeline", where(), clear=False)
    assert len(page.rows) == SIZE
    assert read_rows <= 2 * 500 + 1, "days are in the order of an index, and rows of a day are sorted"
    assert nodes == {"Index Scan"}
    following, _, _ = read(
        url, "marts.activity_timeline", lambda table: replace(where()(table), position=page.after), clear=False
    )
    assert not {row["source_key"] for row in page.rows} & {row["source_key"] for row in following.rows}


@pytest.fixture(scope="module")
def accounts(url: str) -> str:
    """Two accounts of CallRail with the same ids, and views of both."""
    sources = expanded(SOURCES, [Account("callrail", "north")])
    with warehouse.session(url) as found:
        found.execute("CREATE SCHEMA callrail_north")
        for entity in sources[-1].entities:
            found.execute(f"CREATE TABLE {entity.table} (LIKE public.{entity.table_name} INCLUDING ALL)")
        for table, rows in (("callrail_tag", 3_000), ("callrail_north.callrail_tag", 2_000)):
            insert = (
                f"INSERT INTO {table} (id, name, raw_data) SELECT n, 'x', '{{}}' FROM generate_series(1, {rows}) AS n"
            )
            found.execute(insert.encode())
            found.execute(f"VACUUM ANALYZE {table}")
    with engine(url).begin() as connection:
        account_views.align(connection, sources)
        reading.align(connection, [one for source in sources for one in source.entities], sql_folder() / "views")
    return url


def test_a_view_of_all_accounts_is_read_by_account_and_key(accounts: str) -> None:
    view = "accounts.callrail_tag"

    def page_at(**asked: Any) -> Ask:
        return lambda table: replace(where()(table), **asked)

    for clear in (True, False):
        seen: list[tuple[str, str]] = []
        position = None
        while True:
            page, read_rows, nodes = read(accounts, view, page_at(size=900, position=position), clear=clear)
            assert (read_rows <= 904, nodes) == (True, {"Index Scan"}), "no more than the page"
            seen += [(row["account"], row["id"]) for row in page.rows]
            if (position := page.after) is None:
                break
        ids, north = (sorted(map(str, range(1, rows + 1))) for rows in (3_000, 2_000))
        assert seen == [("callrail", one) for one in ids] + [("callrail_north", one) for one in north]
        before = seen[2_980:3_030]
        page, _, _ = read(accounts, view, page_at(position=seen[3_030], backwards=True), clear=clear)
        assert [(row["account"], row["id"]) for row in page.rows] == before
        assert (page.before, page.after) == (before[0], before[-1])


def test_a_filter_of_a_view_of_all_accounts_asks_each_account_by_its_index(accounts: str) -> None:
    north = "account.is:callrail_north"
    cases = (
        (("id.is:7",), 2, 4),
        ((north, "id.is:7"), 1, 2),
        ((north,), SIZE, 2 * SIZE + 6),
        (("account.is:nobody",), 0, 0),
    )
    for spelled, found, most in cases:
        page, read_rows, nodes = read(accounts, "accounts.callrail_tag", where(*spelled), clear=True)
        assert (len(page.rows), read_rows <= most) == (found, True), (spelled, read_rows)
        assert nodes <= {"Index Scan", "Index Only Scan"}


@pytest.mark.slow("the same in other circumstances")
def test_a_walk_that_ends_goes_on_where_it_ended(url: str) -> None:
    """The rows that are looked for stand behind the first that are looked at."""
    for clear, column in ((True, "lastname.is:Person44990"), (False, "substatus.is:7")):
        seen, position, found = 0, None, 0
        while True:
            page, _, _ = read(url, "genius_lead", where(column, position=position), clear=clear)
            found += len(page.rows)
            if page.walked is None:
                break
            seen, position = seen + page.walked, page.after
        assert ROWS - WALKED <= seen <= ROWS
        assert found == (1 if clear else 0)


def test_a_whole_value_is_found_however_far_behind_it_is(url: str) -> None:
    async def work() -> tuple[Page, int, set[str]]:
        pool = Pool(url)
        table = await Catalogue(pool).table("genius_lead", clear=True, of_all=True)
        async with pool.reading(Analyst(), clear=True) as session:
            recorder: Any = Recorder(session)
            wanted = Wanted(SIZE, table.order())
            page = await read_exact(recorder, table, tries(table, "person44990@example.test"), wanted)
            plans = [await explain(session, statement, given) for statement, given in recorder.asked[1:]]
        await pool.close()
        return page, *counted(plans, table.name)

    page, read_rows, nodes = asyncio.run(work())
    assert [row["lead_id"] for row in page.rows] == [44990]
    assert read_rows <= 10
    assert nodes <= {"Index Scan", "Index Only Scan"}


@pytest.mark.slow("200,000 rows")
def test_of_many_rows_no_more_is_read_than_a_limit_and_by_an_index(database_url: str) -> None:
    fill(database_url, 200_000)
    for case, (ask, found, most) in CASES.items():
        for clear in (True, False):
            page, read_rows, nodes = read(database_url, "genius_lead", ask, clear=clear)
            assert (len(page.rows), nodes <= {"Index Scan", "Index Only Scan"}) == (found, True), case
            assert read_rows <= most, (case, read_rows)

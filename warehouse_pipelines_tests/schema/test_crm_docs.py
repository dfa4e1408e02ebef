"""What the pages about schemas and the roadmap claim is generated, or tried here."""

import re
from collections.abc import Iterator

import psycopg
import pytest
from psycopg.rows import dict_row

from warehouse_pipelines.commands import docs
from warehouse_pipelines.orchestration import pipedesk_maintenance
from warehouse_pipelines.orchestration.crm_maintenance import TASKS
from warehouse_pipelines.orchestration.maintenance import Task
from warehouse_pipelines.schema.migrate import seed
from warehouse_pipelines_tests.harness.crm_database import TABLES, Connection, session

PAGE = docs.SCHEMA_PAGES["crm"].read_text(encoding="utf-8")
ROADMAP = docs.PAGE.with_name("roadmap.md").read_text(encoding="utf-8")
QUERIES = re.findall(r"```sql\n(.*?)```", PAGE, re.DOTALL)
SEEDED = "00000000-0000-0000-0000-000000000001"


@pytest.fixture(scope="module")
def seeded_url(shared_url: str) -> str:
    seed(shared_url)
    return shared_url


@pytest.fixture
def app(seeded_url: str) -> Iterator[Connection]:
    with session(seeded_url, organization=SEEDED) as connection:
        yield connection


@pytest.mark.parametrize("schema", docs.SCHEMA_PAGES)
def test_the_generated_parts_are_up_to_date(shared_url: str, schema: str) -> None:
    page = docs.SCHEMA_PAGES[schema].read_text(encoding="utf-8")
    with psycopg.connect(shared_url, row_factory=dict_row) as connection:
        assert docs.schema_page(schema, page, connection) == page, (
            "run `python -m warehouse_pipelines.commands.docs --schemas` and commit the page"
        )
        named = connection.execute(docs.TABLES, [schema]).fetchall()
    assert [table["name"] for table in named if len(table["about"] or "") < 10] == []


def test_every_table_is_described() -> None:
    for table in TABLES:
        about = PAGE.partition(f"### {table}\n\n")[2].partition("\n")[0]
        assert len(about) > 20, f"{table} has no COMMENT"
        assert f"    {table} {{" in PAGE


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: query[:50])
def test_a_query_answers_the_application(query: str, app: Connection) -> None:
    cursor = app.execute(query.encode())
    assert cursor.fetchall(), "no row"


def test_there_are_queries_to_test() -> None:
    assert len(QUERIES) >= 15


def test_the_example_sets_the_tenant_for_one_transaction(seeded_url: str) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    scope: dict[str, object] = {}
    exec(example, scope)  # noqa: S102
    leads_of = scope["leads_of"]
    assert callable(leads_of)
    with psycopg.connect(seeded_url, autocommit=True) as connection:
        connection.execute("SET ROLE crm_app")
        assert len(leads_of(connection, SEEDED, "", "192.0.2.7")) == 10
        assert leads_of(connection, SEEDED.replace("1", "2"), "", "") == []
        assert connection.execute("SELECT count(*) FROM crm.leads").fetchone() == (0,)


@pytest.mark.parametrize(("schema", "tasks"), [("crm", TASKS), ("pipedesk", pipedesk_maintenance.TASKS)])
def test_the_jobs_are_those_that_there_are(schema: str, tasks: list[Task]) -> None:
    page = docs.SCHEMA_PAGES[schema].read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `(\w+)` \| ([^|]*:[0-9]{2}) \|", page, re.MULTILINE))
    assert set(rows) == {task.name for task in tasks}
    for task in tasks:
        minute, hour, day, _, weekday = task.cron.split()
        if hour == "*":
            assert rows[task.name] == f"every hour, at :{int(minute):02}"
            continue
        said = f"{int(hour):02}:{int(minute):02}"
        assert rows[task.name] == {"1": f"the 1st, {said}"}.get(day, f"Sunday {said}" if weekday == "0" else said)


@pytest.mark.parametrize("flag", sorted(set(re.findall(r"warehouse migrate.*?(--[a-z-]+)", PAGE)) | {"--force"}))
def test_the_flags_exist(flag: str) -> None:
    from warehouse_pipelines.commands.cli import main

    assert flag in {option for parameter in main.commands["migrate"].params for option in parameter.opts}


@pytest.mark.parametrize(
    "what",
    [
        "materialized views",
        "audit partitioning",
        "full-text search",
        "machine learning",
        "multi-touch attribution",
        "GDPR",
        "retention policies",
        "cohort",
        "predictive",
        "A/B testing",
        "builders of sequences",
        "pages of do-not-call",
        "do-not-call filter",
    ],
)
def test_the_roadmap_has_a_trigger_for(what: str) -> None:
    (row,) = [line for line in ROADMAP.splitlines() if line.startswith("| ") and what in line.split("|")[1]]
    assert len(row.split("|")[3].strip()) > 4

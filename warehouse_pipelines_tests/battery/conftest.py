"""A case of each test for each entity to which it applies, in one warehouse."""

import uuid
import zlib
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

from warehouse_pipelines.local.postgres import Server
from warehouse_pipelines.sources import SOURCES
from warehouse_pipelines_tests.battery.applies import kind, tables
from warehouse_pipelines_tests.harness.source_harness import BY_TABLE, SourceHarness, source_harness

pytest.register_assert_rewrite("warehouse_pipelines_tests.battery.checks")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave all but a sample to ``./run test --all``: of each test an entity of each kind and of some vendors."""
    cases: dict[str, list[pytest.Function]] = defaultdict(list)
    for item in items:
        if isinstance(item, pytest.Function) and item.path.parent == Path(__file__).parent:
            cases[item.originalname].append(item)
    for turn, (test, found) in enumerate(cases.items()):
        kept = sample(turn, test, [str(item.callspec.params["harness"]) for item in found])
        for item in found:
            if item.callspec.params["harness"] not in kept:
                item.add_marker(pytest.mark.slow("the battery's other entities of each vendor and kind"))


VENDORS = tuple(source.name for source in SOURCES)
TURNS = 3


def sample(turn: int, test: str, of: list[str]) -> set[str]:
    """Return some of these tables: one of each third vendor, and one of each kind that is left.

    Another third of the vendors for each test, so each vendor passes a third of them; the first test is every vendor's.
    """
    turned = sorted(of, key=lambda table: zlib.crc32(f"{test} {table}".encode()))
    kept: dict[object, str] = {}
    for table in turned:
        vendor = BY_TABLE[table][0].name
        if turn == 0 or (VENDORS.index(vendor) + turn) % TURNS == 0:
            kept.setdefault(vendor, table)
    kinds = {kind(BY_TABLE[table][1]) for table in kept.values()}
    for table in turned:
        if (read_so := kind(BY_TABLE[table][1])) not in kinds:
            kept.setdefault(read_so, table)
    return {*kept.values()}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """The id of a case is the table's name."""
    if "harness" in metafunc.fixturenames:
        metafunc.parametrize("harness", tables(metafunc.function.__name__), indirect=True)


@pytest.fixture
def harness(
    request: pytest.FixtureRequest, battery_url: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[SourceHarness]:
    """The harness of each entity in turn."""
    with source_harness(request.param, battery_url, monkeypatch) as one:
        one.execute("SET session_replication_role = replica")  # rows of other tables may refer to these
        emptied = [entity.table for entity in one.source.entities]  # some are read by what others have
        emptied += ["orchestration.dead_letter", "orchestration.sync_history"]
        one.execute("; ".join(f"DELETE FROM {table}" for table in emptied))
        one.execute("RESET session_replication_role")
        one.driver.prepare(one.entity)
        yield one


@pytest.fixture(scope="module")
def battery_url(test_server: Server, template: str) -> Iterator[str]:
    """One warehouse for all: emptying a few tables is cheaper than copying a database."""
    name = f"battery_{uuid.uuid4().hex[:12]}"
    yield test_server.create_database(name, template=template)
    test_server.drop_database(name)

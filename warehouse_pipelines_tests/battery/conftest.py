"""A case of each test for each entity to which it applies, in one warehouse."""

import uuid
import zlib
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

from warehouse_pipelines.local.postgres import Server
from warehouse_pipelines_tests.battery.applies import tables
from warehouse_pipelines_tests.harness.source_harness import BY_TABLE, SourceHarness, source_harness

pytest.register_assert_rewrite("warehouse_pipelines_tests.battery.checks")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave all but a sample to ``./run test --all``: of each test an entity of each vendor, another one each time."""
    cases: dict[tuple[str, str], list[pytest.Function]] = defaultdict(list)
    for item in items:
        if isinstance(item, pytest.Function) and item.path.parent == Path(__file__).parent:
            source, _ = BY_TABLE[str(item.callspec.params["harness"])]
            cases[item.originalname, source.name].append(item)
    for (test, _), found in cases.items():
        sample = zlib.crc32(test.encode()) % len(found)
        for place, item in enumerate(found):
            if place != sample:
                item.add_marker("slow")


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
        for table in (one.entity.table, "orchestration.dead_letter", "orchestration.sync_history"):
            one.execute(f"DELETE FROM {table}")
        one.execute("RESET session_replication_role")
        one.driver.prepare(one.entity)
        yield one


@pytest.fixture(scope="module")
def battery_url(test_server: Server, template: str) -> Iterator[str]:
    """One warehouse for all: emptying three tables is cheaper than copying a database."""
    name = f"battery_{uuid.uuid4().hex[:12]}"
    yield test_server.create_database(name, template=template)
    test_server.drop_database(name)

"""A case of each test for each entity to which it applies, in one warehouse."""

import uuid
from collections.abc import Iterator

import pytest

from warehouse_pipelines.local.postgres import Server
from warehouse_pipelines_tests.battery.applies import tables
from warehouse_pipelines_tests.harness.source_harness import SourceHarness, source_harness

pytest.register_assert_rewrite("warehouse_pipelines_tests.battery.checks")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """The id of a case is the table's name."""
    if "it" in metafunc.fixturenames:
        metafunc.parametrize("it", tables(metafunc.function.__name__), indirect=True)


@pytest.fixture
def it(request: pytest.FixtureRequest, battery_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[SourceHarness]:
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

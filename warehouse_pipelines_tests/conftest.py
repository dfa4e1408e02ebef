"""A PostgreSQL of its own for every test run, and a database of its own for every test.

One server serves the run and all its xdist workers. The migrations run once, into a template; a test's database is a
copy of it. ``PG_BIN`` chooses other binaries. What is ours on this machine is out of reach (``.warehouse/``, ``.env``,
``config/columns.toml``): the settings point into the temp folder and at a port where nobody listens.
"""

import contextlib
import fcntl
import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest

from warehouse_pipelines.local.postgres import Server
from warehouse_pipelines.local.postgres_programs import find_binaries
from warehouse_pipelines.observability import redaction
from warehouse_pipelines_tests.harness.databases import Databases

PREFIX = "warehouse-tests-"
TEMPLATE, BARE = "migrated", "bare"
DATABASE_FIXTURES = {"database_url", "template", "test_server", "server"}


def missing(what: str) -> NoReturn:
    """Skip the test, naming what this machine lacks. Under CI it fails instead: nothing goes untested unseen."""
    if os.environ.get("CI"):
        pytest.fail(f"{what} is missing, and CI must have it")
    pytest.skip(f"{what} is missing")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "database: needs PostgreSQL; set by the fixtures, not by hand")
    if hasattr(config, "workerinput"):
        return
    _remove_what_killed_runs_left()
    folder = tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-")
    os.environ |= {
        "WAREHOUSE_TEST_FOLDER": folder,
        "WAREHOUSE_HOME": f"{folder}/home",
        "WAREHOUSE_DATABASE_URL": "postgresql://ask:for@127.0.0.1:1/the_fixture_database_url",
        "DAGSTER_HOME": f"{folder}/home/dagster",
        "WAREHOUSE_COLUMNS_FILE": f"{folder}/columns.toml",
        "DAGSTER_STORAGE_URL": "sqlite",  # where the storage does not matter: a folder of its own is ready in no time
    }


def pytest_unconfigure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput") and (folder := os.environ.pop("WAREHOUSE_TEST_FOLDER", None)):
        _remove(Path(folder))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        if DATABASE_FIXTURES & set(getattr(item, "fixturenames", ())):
            item.add_marker("database")
    if hasattr(config, "workerinput"):
        # Files with slow tests first, or one worker is left with the longest when the others have ended.
        slow = {item.path for item in items if item.get_closest_marker("slow") or item.get_closest_marker("ui")}
        items.sort(key=lambda item: item.path not in slow)


def pytest_report_header() -> str:
    return f"PostgreSQL: {find_binaries()}"


@pytest.fixture(autouse=True)
def hidden_for_this_test() -> Iterator[None]:
    """What a test hides as a secret is hidden for this test alone: another one may print the same word."""
    before = set(redaction._hidden)
    yield
    redaction._hidden &= before


@pytest.fixture(scope="session")
def test_server() -> Server:
    """The server of the whole run. A test that stops its server asks for ``server``."""
    server = Server(Path(os.environ["WAREHOUSE_TEST_FOLDER"]) / "server", durable=False)
    server.start()
    return server


@pytest.fixture(scope="session")
def template(test_server: Server) -> str:
    """The name of a migrated and otherwise empty database.

    ``BARE`` is its copy with the tables of ``FakeSource`` and ``RecordStore`` in place of those of the sources. Nobody
    is ever connected to the two.
    """
    from warehouse_pipelines.schema import tables
    from warehouse_pipelines.schema.migrate import engine, migrate
    from warehouse_pipelines.sources import SOURCES
    from warehouse_pipelines_tests.harness import fake_source, record_store

    with (test_server.home / "template.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = test_server.home / "template.done"
        if not done.exists():
            test_server.drop_database(TEMPLATE)
            test_server.drop_database(BARE)
            migrate(test_server.create_database(TEMPLATE))
            test_server.create_database(BARE, template=TEMPLATE)
            with test_server.connect(BARE) as connection:
                declared = ", ".join(entity.table for source in SOURCES for entity in source.entities)
                connection.execute(f"DROP TABLE {declared} CASCADE")
            with engine(test_server.url(BARE)).begin() as connection:
                tables.align(connection, [*fake_source.ENTITIES, *record_store.ENTITIES])
            done.touch()
    return TEMPLATE


@pytest.fixture(scope="session")
def databases(test_server: Server, template: str) -> Databases:
    """What lends a database to each test of this process."""
    return Databases(test_server)


@pytest.fixture
def database_url(test_server: Server, databases: Databases, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A migrated, empty warehouse of this test alone; ``WAREHOUSE_DATABASE_URL`` names it."""
    yield from _lent(test_server, databases, TEMPLATE, monkeypatch)


@pytest.fixture
def bare_url(test_server: Server, databases: Databases, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The same with the tables of the vendors that have no network, instead of those of the sources."""
    yield from _lent(test_server, databases, BARE, monkeypatch)


def _lent(server: Server, databases: Databases, template: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    name = databases.borrow(template)
    monkeypatch.setenv("WAREHOUSE_DATABASE_URL", server.url(name))
    yield server.url(name)
    databases.give_back(name, template)


@pytest.fixture
def empty_url(test_server: Server) -> Iterator[str]:
    """A database without anything in it."""
    name = f"empty_{uuid.uuid4().hex[:12]}"
    yield test_server.create_database(name)
    test_server.drop_database(name)


@pytest.fixture(scope="module")
def shared_url(test_server: Server, template: str) -> Iterator[str]:
    """A migrated warehouse for all tests of a module, each of which undoes what it does or keeps to its own keys."""
    name = f"shared_{uuid.uuid4().hex[:12]}"
    yield test_server.create_database(name, template=template)
    test_server.drop_database(name)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A server of this test alone, not started, to be stopped and killed at will."""
    server = Server(tmp_path / "a server", durable=False)
    yield server
    _stop(server)


def _stop(server: Server) -> None:
    if server.home.exists():
        server.stop("immediate")
        if server.data.parent != server.home:
            shutil.rmtree(server.data.parent, ignore_errors=True)


def _remove(folder: Path) -> None:
    for home in ("server", "home"):
        _stop(Server(folder / home))
    shutil.rmtree(folder, ignore_errors=True)


def _remove_what_killed_runs_left() -> None:
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with contextlib.suppress(PermissionError, FileNotFoundError):
            pid = int(folder.name.removeprefix(PREFIX).split("-")[0])
            try:
                os.kill(pid, 0)
            except ProcessLookupError:
                _remove(folder)

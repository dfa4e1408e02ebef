"""A PostgreSQL of its own for every test run, and a database of its own for every test.

One server serves the run and all its xdist workers. The migrations run once, into a template; a test's database is a
copy of it. ``PG_BIN`` chooses other binaries. What is ours on this machine is out of reach (``.warehouse/``, ``.env``,
``config/columns.toml``): the settings point into the temp folder and at a port where nobody listens.
"""

import contextlib
import fcntl
import gc
import os
import re
import shutil
import sys
import tempfile
import uuid
from collections import Counter
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn, cast

import pytest
from alembic.util import pyfiles

from warehouse_pipelines.local.postgres import Server
from warehouse_pipelines.local.postgres_data import DataFolder
from warehouse_pipelines.local.postgres_programs import find_binaries
from warehouse_pipelines.observability import logs, redaction
from warehouse_pipelines_tests.harness.databases import Databases
from warehouse_pipelines_tests.harness.examples import ONCE

PREFIX = "warehouse-tests-"
MEMORY, ROOM = Path("/dev/shm"), 4 * 2**30  # noqa: S108
TEMPLATE, BARE = "migrated", "bare"
LONGEST = (
    "test_alert_year.py", "test_pages_in_chromium.py", "test_demo.py", "test_killed_commands.py",
    "test_dagster_cli.py", "test_dagster_kills.py", "test_ui_runs.py", "test_ui.py", "test_ui_api.py", "test_new.py",
    "test_kill_anywhere.py", "test_cancelled_commands.py", "test_celery.py",
    "test_terminate.py", "test_dg.py", "test_convergence.py", "test_deployment.py",
    "test_benchmarks.py", "test_memory.py", "test_definitions.py", "test_init.py",
    "test_journey.py", "test_plans.py", "test_battery.py", "test_sync_command.py", "test_guide.py",
    "test_dlt_source.py", "test_five9_fetch.py",
    "test_crash.py", "test_arrivy_fetch.py", "test_migrations.py", "test_salespro_fetch.py", "test_erasure.py",
    "test_import_rows.py", "test_rebuild.py", "test_hostile_people.py", "test_dagster_home.py",
    "test_pipedesk_revisions.py", "test_online.py", "test_crm_tables.py", "test_scopes.py", "test_hubspot_fetch.py",
    "test_run_lock.py", "test_merge.py", "test_genius_fetch.py", "test_truth.py", "test_answers_truth.py",
    "test_entered_leads.py", "test_kill.py", "test_reading.py", "test_receive.py", "test_accounts.py",
    "test_browsing_plans.py", "test_undo.py",
)  # fmt: skip
"""The files that take longest, which begin first."""

TOGETHER = 15
"""How many tests are handed to a worker at once."""
ALONE = ("test_benchmarks.py",)
"""Files whose tests share nothing and take up to a minute each: these are handed out one by one."""
SHARED = re.compile(r"""scope="(module|class)"|\bshared_url\b""")
"""How a file says that its tests share what is made once."""
CHEAPLY_SHARED = (
    "test_guide.py", "test_crm_tables.py", "test_migrations.py", "test_pipedesk_schema.py",
    "test_run_lock.py", "test_crm_dnc.py", "test_crm_segments.py", "test_crm_rls.py", "test_crm_tenants.py",
)  # fmt: skip
"""Files that share what is made in a second, and are cut nevertheless."""

FORKING = re.compile(
    r"/(test_crash|test_kill|test_kill_anywhere|test_killed_commands|test_cancelled_commands|test_sync_command)\.py"
    r"|::test_(shared_rate_budget|a_stopped_process_is_replaced|three_at_once_leave|a_killed_(?!run_worker)\w+"
    r"|ctrl_c_says_that_the_same_command|a_run_that_is_killed_leaves|who_is_killed_between"
    r"|who_is_who_whose_process_died)"
)
"""Tests that fork from a server of their worker's, which takes six seconds to import everything."""
EACH_CASE = (
    "test_backup.py", "test_crm_docs.py", "test_crm_tenants.py", "test_online.py", "test_operator_views.py",
    "test_pipedesk_rights.py", "test_reading.py", "test_tables.py",
)  # fmt: skip
"""Files of ``schema`` in which each parameter is another role or statement; in its other files it is another table."""
ONE_UI = re.compile(r"/orchestration/test_(ui\w*|dagster_cli|dagster_kills)\.py")
"""Tests that share a UI of Dagster's that runs."""

revisions: dict[tuple[str, int], ModuleType] = {}

left: Counter[str] = Counter()
"""How many tests were left out, by what they take."""

DATABASE_FIXTURES = {"database_url", "template", "test_server", "server"}


def missing(what: str) -> NoReturn:
    """Skip the test, naming what this machine lacks. Under CI it fails instead: nothing goes untested unseen."""
    if os.environ.get("CI"):
        pytest.fail(f"{what} is missing, and CI must have it")
    pytest.skip(f"{what} is missing")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "database: needs PostgreSQL; set by the fixtures, not by hand")
    pyfiles.load_module_py = _kept
    if hasattr(config, "workerinput"):
        return
    _remove_what_killed_runs_left()
    folder = tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-", dir=_fastest_folder())
    if config.option.basetemp is None:
        config.option.basetemp = f"{folder}/pytest"  # of three seconds of a job of Dagster's one waits for a disk
    Path(folder, "columns.toml").touch()
    os.environ |= {
        "WAREHOUSE_TEST_FOLDER": folder,
        "WAREHOUSE_HOME": f"{folder}/home",
        "WAREHOUSE_DATABASE_URL": "postgresql://ask:for@127.0.0.1:1/the_fixture_database_url",
        "DAGSTER_HOME": f"{folder}/home/dagster",
        "WAREHOUSE_COLUMNS_FILE": f"{folder}/columns.toml",
        "DAGSTER_STORAGE_URL": "sqlite",  # where the storage does not matter: a folder of its own is ready in no time
    }


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Collect no garbage meanwhile, of which there is little: it took a third of the time."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()


def _kept(module_id: str, path: str | os.PathLike[str], load: Any = pyfiles.load_module_py) -> ModuleType:
    """Import a file of alembic's, a revision once: each SQLite of Dagster's reads a hundred of them, 10 ms."""
    if Path(path).parent.name != "versions":  # env.py migrates when it is imported
        return cast(ModuleType, load(module_id, path))
    key = str(path), Path(path).stat().st_mtime_ns
    if key not in revisions:
        revisions[key] = load(module_id, path)
    return revisions[key]


def pytest_unconfigure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput") and (folder := os.environ.pop("WAREHOUSE_TEST_FOLDER", None)):
        _remove(Path(folder))


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        if DATABASE_FIXTURES & set(getattr(item, "fixturenames", ())):
            item.add_marker("database")
    _leave_middle_cases(items)
    if ONCE in os.environ:
        items[:] = _one_of_each(items)
    if hasattr(config, "workerinput"):
        # Or one worker is left with the longest when the others have ended.
        longest = {name: place for place, name in enumerate(LONGEST)}
        items.sort(key=lambda item: longest.get(item.path.name, len(LONGEST)))


def _leave_middle_cases(items: Sequence[pytest.Item]) -> None:
    """Mark as slow all but the first and the last case of a test that needs a database or reads a simulated vendor.

    Not in ``schema``, where each is another table, role or statement; nor in the battery, which chooses its own; nor
    where a test says ``every_case``.
    """
    cases: dict[str, list[pytest.Item]] = {}
    for item in items:
        marked = {mark.name for mark in item.iter_markers()}
        chosen = {"slow", "every_case"} & marked or re.search("/(schema|battery)/", item.nodeid)
        dear = "database" in marked or re.search("/sources/test_(.*_fetch|key_ranges).py", item.nodeid)
        if dear and not chosen:
            cases.setdefault(item.nodeid.partition("[")[0], []).append(item)
    for alike in cases.values():
        for item in alike[1:-1]:
            item.add_marker(pytest.mark.slow("cases between the first and the last"))


def _one_of_each(items: Sequence[pytest.Item]) -> list[pytest.Item]:
    """Return one case of each test, or all in ``EACH_CASE``; of a file that says ``on_oldest`` those that it names."""
    kept: dict[str, pytest.Item] = {}
    for item in items:
        named = item.get_closest_marker("on_oldest")
        if named is not None and getattr(item, "originalname", "") not in named.args:
            continue
        quick = item.get_closest_marker("slow") is None
        if item.path.name in EACH_CASE:
            kept[item.nodeid] = item
        elif (name := item.nodeid.partition("[")[0]) not in kept or (
            quick and kept[name].get_closest_marker("slow") is not None
        ):
            kept[name] = item
    return [*kept.values()]


def pytest_deselected(items: Sequence[pytest.Item]) -> None:
    """Count by their reason the tests that are left to ``--all``."""
    for item in items:
        asked_otherwise = item.config.option.keyword or "not slow" not in item.config.option.markexpr
        if not asked_otherwise and (mark := item.get_closest_marker("slow")) is not None:
            left[mark.args[0] if mark.args else "no reason is given"] += 1


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Every worker has left out the same."""
    left.update({} if left else getattr(node, "workeroutput", {}).get("left", {}))


def pytest_sessionfinish(session: pytest.Session) -> None:
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["left"] = dict(left)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if left:
        terminalreporter.write_line(f"Left to ./run test --all: {sum(left.values())} tests, for what they take:")
        for reason, count in left.most_common():
            terminalreporter.write_line(f"{count:6} {reason}")


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Hand tests out in groups: a file whose tests share a fixture, some tests of another, all of a vendor's battery.

    A whole file of five minutes would run alone at the end, while the other workers have nothing left.
    """
    if config.getvalue("dist") != "loadfile":
        return None
    from xdist.scheduler import LoadFileScheduling  # type: ignore[import-untyped]

    groups = Groups(config.rootpath)
    scheduler = LoadFileScheduling(config, log)
    scheduler._split_scope = groups.of
    return scheduler


class Groups:
    """Which tests stay on one worker, by their ids, which come in the same order from each worker."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._groups: dict[str, str] = {}
        self._seen: Counter[str] = Counter()
        self._shared: dict[str, bool] = {}

    def of(self, nodeid: str) -> str:
        """Return the name of the group."""
        if nodeid not in self._groups:
            self._groups[nodeid] = self._next(nodeid)
        return self._groups[nodeid]

    def _next(self, nodeid: str) -> str:
        file, _, rest = nodeid.partition("::")
        if FORKING.search(nodeid):
            return "those that fork"
        if ONE_UI.search(nodeid):
            return "those that share a UI"
        if "/battery/" in file:
            vendor = re.search(r"\[([a-z0-9]+)", rest)
            return f"{file}::{vendor[1]}" if vendor else file
        if file not in self._shared:
            text = (self._root / file).read_text(encoding="utf-8")
            self._shared[file] = bool(SHARED.search(text)) and Path(file).name not in CHEAPLY_SHARED
        if self._shared[file]:
            return file
        self._seen[file] += 1
        return f"{file}::{self._seen[file] // (1 if Path(file).name in ALONE else TOGETHER)}"


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Have one worker at a time import a module: what pytest makes of its assertions, the others find then.

    In a new clone that takes 30 s of processor time, each worker.
    """
    if not isinstance(collector, pytest.Module) or not hasattr(collector.config, "workerinput"):
        return (yield)
    name = re.sub(r"\W", "_", collector.nodeid)
    with (Path(os.environ["WAREHOUSE_TEST_FOLDER"]) / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return (yield)


def pytest_collection_finish() -> None:
    """What is there before the first test stays: the garbage collector need not look through it again and again."""
    if "dagster" in sys.modules:
        from warehouse_pipelines.orchestration.dagster_storage import keep_engines

        keep_engines()
    gc.freeze()
    gc.set_threshold(20_000, 10, 10)


def pytest_report_header() -> str:
    return f"PostgreSQL: {find_binaries()}"


@pytest.fixture(autouse=True)
def batches_of_a_busy_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch ends by its records alone, or a slow machine would cut a test's pages into other batches."""
    monkeypatch.setattr("warehouse_pipelines.loading.resource.CHUNK_SECONDS", 3_600.0)


@pytest.fixture(autouse=True)
def loggers_for_this_test() -> Iterator[None]:
    """What a command or Dagster's run sets of the streams of the log ends with the test."""
    streams = (logs.general, logs.ingestion, logs.sync)
    before = [(stream.level, stream.disabled, stream.propagate) for stream in streams]
    yield
    for stream, (level, disabled, propagate) in zip(streams, before, strict=True):
        if stream.level != level:  # each time, logging forgets of a thousand loggers what they let through
            stream.setLevel(level)
        stream.disabled, stream.propagate = disabled, propagate


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
def databases(test_server: Server, template: str) -> Iterator[Databases]:
    """What lends a database to each test of this process."""
    made = Databases(test_server)
    yield made
    made.close()


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
def new_server(tmp_path: Path) -> Iterator[Server]:
    """A server of this test alone, for which nothing was made yet."""
    server = Server(tmp_path / "a server", durable=False)
    yield server
    _stop(server)


@pytest.fixture
def server(new_server: Server) -> Server:
    """A server of this test alone, never started, to be stopped and killed at will.

    Its data are a copy, which takes a tenth of the time of ``initdb``.
    """
    made = Path(os.environ["WAREHOUSE_TEST_FOLDER"]) / "initialised"
    folder = DataFolder(made, durable=False)
    with folder.locked():
        folder.initialise(find_binaries())
    if folder.data.parent == made:  # else it has to belong to nobody
        shutil.copytree(made, new_server.home)
    return new_server


def _stop(server: Server) -> None:
    if server.home.exists():
        server.stop("immediate")
        if server.data.parent != server.home:
            shutil.rmtree(server.data.parent, ignore_errors=True)


def _remove(folder: Path) -> None:
    for home in ("server", "home", "initialised", "prepared"):
        _stop(Server(folder / home))
    shutil.rmtree(folder, ignore_errors=True)


def _fastest_folder() -> Path:
    """Return the folder in memory where there is room, else that for temporary files.

    A copy of a database is 1,400 files and takes a server 0.35 s of its processor on a disk, 0.15 s in memory.
    """
    with contextlib.suppress(OSError):
        if shutil.disk_usage(MEMORY).free > ROOM and os.access(MEMORY, os.W_OK):
            return MEMORY
    return Path(tempfile.gettempdir())


def _remove_what_killed_runs_left() -> None:
    for folder in (*Path(tempfile.gettempdir()).glob(f"{PREFIX}*"), *MEMORY.glob(f"{PREFIX}*")):
        with contextlib.suppress(PermissionError, FileNotFoundError):
            pid = int(folder.name.removeprefix(PREFIX).split("-")[0])
            try:
                os.kill(pid, 0)
            except ProcessLookupError:
                _remove(folder)

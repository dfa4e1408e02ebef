"""What the tests of the command line share: settings for every source, and vendors that answer."""

import contextlib
import signal
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from warehouse_pipelines import settings
from warehouse_pipelines.commands import job_processes
from warehouse_pipelines.simulators.registry import available
from warehouse_pipelines.simulators.server import Simulators, start
from warehouse_pipelines.sources import SOURCES
from warehouse_pipelines_tests.harness.command_line import FakeJobs


@pytest.fixture(scope="session")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    """Something for each setting that a source lacks, and an address where nobody listens."""
    found = {"WAREHOUSE_RETRY_SECONDS": "0.001"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(settings, "env_file", lambda: tmp_path_factory.getbasetemp() / "none" / ".env")
        for source in SOURCES:
            for name in source.missing_settings():
                scheme = "mysql+pymysql" if source.name == "genius" else "postgresql"
                url = f"{scheme}://planted:planted-password@127.0.0.1:1/none"
                found[name] = url if name.endswith("DATABASE_URL") else f"planted-{name.lower()}"
            if "base_url" in source.settings.model_fields:
                found[f"{source.settings.model_config['env_prefix']}BASE_URL"] = "http://127.0.0.1:1"
    return found


@pytest.fixture
def in_a_terminal() -> Iterator[None]:
    """Give SIGHUP its default effect: who starts the tests with ``nohup`` ignores it."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.fixture
def configured(planted: Mapping[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Every source is configured. No .env is read."""
    monkeypatch.setattr(settings, "env_file", lambda: tmp_path / ".env")
    for name, value in planted.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def fake(configured: None, monkeypatch: pytest.MonkeyPatch) -> type[FakeJobs]:
    FakeJobs.asked, FakeJobs.endings = [], {}
    monkeypatch.setattr(job_processes, "run_jobs", FakeJobs.run_jobs)
    monkeypatch.setenv("WAREHOUSE_DATABASE_URL", "postgresql://nobody@nowhere/none")
    return FakeJobs


@pytest.fixture
def one_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """All entities of a CRM are synced in one run in this process, where that they run side by side does not matter."""
    monkeypatch.setattr(job_processes, "parts_of", lambda job, *_: [(*job, ())])


@pytest.fixture(scope="session")
def dagster_folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A DAGSTER_HOME, which takes a second to prepare; each run in it has an id of its own."""
    return str(tmp_path_factory.mktemp("dagster"))


@contextlib.contextmanager
def served(names: Sequence[str], folder: str, patch: pytest.MonkeyPatch) -> Iterator[Simulators]:
    patch.setenv("DAGSTER_HOME", folder)
    with start(names, contacts=60) as simulators:
        for name, value in simulators.environment().items():
            patch.setenv(name, value)
        yield simulators


@pytest.fixture
def vendors(
    configured: None, database_url: str, dagster_folder: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Simulators]:
    """HubSpot and CallRail, and an empty warehouse."""
    with served(("hubspot", "callrail"), dagster_folder, monkeypatch) as simulators:
        yield simulators


@pytest.fixture
def all_vendors(
    configured: None, database_url: str, dagster_folder: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Simulators]:
    """All that this machine can simulate, and an empty warehouse."""
    with served(available(), dagster_folder, monkeypatch) as simulators:
        yield simulators


@pytest.fixture
def small_vendors(
    configured: None, database_url: str, dagster_folder: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Simulators]:
    """Two CRMs with five entities together, the others not configured, and an empty warehouse."""
    small = ("leadconduit", "salesrabbit")
    for source in SOURCES:
        if source.name not in small:
            for field in source.settings.model_fields:
                monkeypatch.delenv(settings.setting_name(source.settings, field), raising=False)
    with served(small, dagster_folder, monkeypatch) as simulators:
        yield simulators

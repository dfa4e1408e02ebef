"""One instance of Dagster for the tests of a file, and one UI for all, which takes half a minute to start."""

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import dagster as dg
import psycopg
import pytest

from warehouse_pipelines.local.postgres import Server
from warehouse_pipelines.orchestration import run_lock
from warehouse_pipelines_tests.harness.browser import ask, open_page, start_ui
from warehouse_pipelines_tests.harness.dagster_harness import DagsterHarness, dagster_harness
from warehouse_pipelines_tests.harness.subprocesses import eventually

if TYPE_CHECKING:
    from playwright.sync_api import Page

TAGS = "sync_callrail_tags"

LAUNCH = """
mutation launch($job: String!) { launchRun(executionParams: {runConfigData: {}, selector: {
    repositoryLocationName: "warehouse", repositoryName: "__repository__", jobName: $job }}) {
  __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }
"""
LAUNCHED = dg.RunsFilter(statuses=run_lock.LAUNCHED)
STATUS = "query status($run: ID!) { runOrError(runId: $run) { ... on Run { status } } }"


@dataclass
class UI:
    """``dagster dev`` on a harness, and its address."""

    harness: DagsterHarness
    address: str

    def launch(self, job: str = TAGS) -> str:
        """Launch a run as the UI does, and return its id."""
        found = ask(self.address, LAUNCH, job=job)["launchRun"]
        assert found["__typename"] == "LaunchRunSuccess", found
        return str(found["run"]["runId"])

    def status(self, run_id: str) -> str:
        """Return what the UI says of a run."""
        return str(ask(self.address, STATUS, run=run_id)["runOrError"]["status"])

    def wait(self, run_id: str, wanted: str) -> None:
        """Wait until the UI says this of a run."""
        eventually(lambda: self.status(run_id) == wanted, f"{run_id} is {wanted}", 240, pause=0.2)

    def lose(self) -> None:
        """Kill UI, daemon, code server and runs at once, and start all but the runs again."""
        self.harness.kill()
        try:
            self.address = start_ui(self.harness)
        except BaseException:
            self.harness.kill()  # so that the next test starts them
            raise


@pytest.fixture(scope="module")
def shared_instance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.local_temp(str(tmp_path_factory.mktemp("dagster"))) as found:
        yield found


@pytest.fixture
def instance(shared_instance: dg.DagsterInstance) -> dg.DagsterInstance:
    """An instance without runs: emptying it is much cheaper than making one."""
    shared_instance.wipe()
    return shared_instance


@pytest.fixture(scope="session")
def running_ui(test_server: Server, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[UI]:
    """On Dagster's storage as it is by default, in PostgreSQL. The tests that share it stay on one worker."""
    name = f"ui_{uuid.uuid4().hex[:8]}"
    folder = tmp_path_factory.mktemp(name)
    with dagster_harness(test_server, template, folder, name, contacts=20, vendors=["callrail"]) as made:
        yield UI(made, start_ui(made))


@pytest.fixture
def ui(running_ui: UI) -> Iterator[UI]:
    """Nothing was ever read from CallRail, which has no faults; what runs Dagster has seen is the test's affair."""
    if not running_ui.harness.subprocesses:  # a test that killed them has failed
        running_ui.address = start_ui(running_ui.harness)
    clean(running_ui.harness)
    yield running_ui
    clean(running_ui.harness)


def clean(harness: DagsterHarness) -> None:
    """Forget what was read, and let CallRail answer again; what a failed test has left running ends first."""
    harness.simulators.control("callrail", "clear_faults")
    if harness.subprocesses:
        with harness.instance() as instance:
            eventually(lambda: not instance.get_runs(LAUNCHED, limit=1), "no run is under way", 240, pause=0.2)
    with psycopg.connect(harness.url, autocommit=True) as connection:
        connection.execute(
            "TRUNCATE orchestration.sync_history, callrail_call, callrail_tag, callrail_text_message, callrail_company"
            " CASCADE"
        )


@pytest.fixture(scope="module")
def browser() -> Iterator["Page"]:
    """A page of a browser that has loaded the scripts of the UI for the tests before."""
    with open_page() as page:
        yield page


@pytest.fixture
def page(browser: "Page") -> Iterator["Page"]:
    """A page of the test's own."""
    made = browser.context.new_page()
    yield made
    made.close()

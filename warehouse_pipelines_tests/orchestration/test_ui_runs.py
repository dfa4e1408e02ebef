"""Runs in Dagster's UI, in a browser that never reloads: a running, a failed, a terminated one, one of a command."""

import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import TYPE_CHECKING

import psycopg
import pytest

from warehouse_pipelines.local.postgres import Server
from warehouse_pipelines_tests.harness.browser import ask, open_page, start_ui
from warehouse_pipelines_tests.harness.dagster_harness import DagsterHarness, dagster_harness
from warehouse_pipelines_tests.harness.subprocesses import Command, eventually
from warehouse_pipelines_tests.orchestration.conftest import UI, clean

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [pytest.mark.ui, pytest.mark.slow("Chromium, and Dagster's processes"), pytest.mark.timeout(900)]

LAUNCH = """
mutation launch($job: String!) { launchRun(executionParams: {runConfigData: {}, selector: {
    repositoryLocationName: "warehouse", repositoryName: "__repository__", jobName: $job }}) {
  __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }
"""
STATUS = "query status($run: ID!) { runOrError(runId: $run) { ... on Run { status } } }"


@pytest.fixture(scope="module")
def on_sqlite(test_server: Server, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[UI]:
    name = f"ui_runs_{uuid.uuid4().hex[:8]}"
    folder = tmp_path_factory.mktemp(name)
    with dagster_harness(test_server, template, folder, name, contacts=20, storage="sqlite") as made:
        yield UI(made, start_ui(made))


@pytest.fixture(params=["postgresql", "sqlite"])
def storage(request: pytest.FixtureRequest) -> Iterator[UI]:
    """Dagster's UI on each storage."""
    if request.param == "postgresql":
        yield request.getfixturevalue("ui")
        return
    found = request.getfixturevalue("on_sqlite")
    clean(found.harness)
    yield found


@pytest.fixture
def page() -> Iterator["Page"]:
    with open_page() as page:
        yield page


def launched(address: str, job: str = "sync_callrail_tags") -> str:
    found = ask(address, LAUNCH, job=job)["launchRun"]
    assert found["__typename"] == "LaunchRunSuccess", found
    return str(found["run"]["runId"])


def status(address: str, run_id: str) -> str:
    return str(ask(address, STATUS, run=run_id)["runOrError"]["status"])


def history(harness: DagsterHarness) -> list[str]:
    return [ended for ended, _, _ in harness.history("tags")]


def loads_of(page: "Page", url: str) -> Callable[[], int]:
    """Open a page, and return how often it was loaded since."""
    loads: list[str] = []
    page.goto(url)
    page.on("load", lambda _: loads.append(page.url))
    return lambda: len(loads)


def test_the_page_of_a_run_follows_it_and_shows_its_error(storage: UI, page: "Page") -> None:
    from playwright.sync_api import expect

    address, harness = storage.address, storage.harness
    harness.simulators.control("callrail", "set_fault", kind="rate_limit", retry_after=1, path="tags.json", times=1)
    harness.simulators.control("callrail", "set_fault", kind="slow", seconds=200, path="tags.json", after=1)
    harness.simulators.control("callrail", "set_fault", kind="status", status=403, path="tags.json", after=1)
    run_id = launched(address)
    loads = loads_of(page, f"{address}/runs/{run_id}")
    expect(page.get_by_text("attempt 1 of 7").first).to_be_visible()
    assert status(address, run_id) == "STARTED", "the page shows it while it runs"
    faults = partial(harness.simulators.control, "callrail", "list_faults")
    eventually(lambda: all(fault["fired"] for fault in faults()), "the second request waits for its answer")
    harness.simulators.control("callrail", "clear_faults")  # which sends it
    eventually(lambda: status(address, run_id) == "FAILURE", "it fails", 240)
    expect(page.get_by_text("STEP_FAILURE").first).to_be_visible(timeout=15_000)
    expect(page.get_by_text("answered 403").first).to_be_visible(timeout=15_000)
    assert loads() == 0


@contextmanager
def reading(harness: DagsterHarness) -> Iterator[Callable[[], bool]]:
    harness.simulators.control("callrail", "set_fault", kind="slow", seconds=200, path="tags.json")
    yield lambda: history(harness) == ["running"]


@contextmanager
def merging(harness: DagsterHarness) -> Iterator[Callable[[], bool]]:
    with psycopg.connect(harness.url) as holder, psycopg.connect(harness.url, autocommit=True) as looker:
        holder.execute("LOCK TABLE callrail_tag IN EXCLUSIVE MODE")
        waits = (
            "SELECT count(*) > 0 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock' "
            "AND application_name = 'warehouse-loader'"
        )
        yield lambda: bool((looker.execute(waits).fetchone() or [False])[0])


@pytest.mark.parametrize("moment", [reading, merging], ids=lambda moment: moment.__name__)
def test_terminate_stops_a_run(
    ui: UI, page: "Page", moment: Callable[[DagsterHarness], AbstractContextManager[Callable[[], bool]]]
) -> None:
    from playwright.sync_api import expect

    address, harness = ui.address, ui.harness
    with moment(harness) as reached:
        run_id = launched(address)
        loads = loads_of(page, f"{address}/runs/{run_id}")
        eventually(reached, "it gets there", 240)
        confirm = page.get_by_role("button", name="Terminate 1 run")

        def is_asked_for() -> bool:  # again: the page may draw the button anew while it is clicked
            if not confirm.is_visible():
                page.get_by_role("button", name="Terminate").first.click()
            return confirm.is_visible()

        eventually(is_asked_for, "the page asks whether to terminate", 60)
        confirm.click()
        eventually(lambda: status(address, run_id) == "CANCELING" or history(harness) != ["running"], "it is asked", 30)
        eventually(lambda: status(address, run_id) == "CANCELED", "it ends before what it waits for comes", 100)
    assert history(harness) == ["cancelled"]
    page.keyboard.press("Escape")
    expect(page.get_by_text("Canceled").first).to_be_visible(timeout=15_000)
    assert loads() == 0
    with psycopg.connect(harness.url) as connection:
        assert connection.execute("SELECT count(*) FROM callrail_tag").fetchone() == (0,)


def test_a_run_of_a_command_is_seen_wherever_one_of_the_ui_is(storage: UI, page: "Page") -> None:
    from playwright.sync_api import expect

    address, harness = storage.address, storage.harness
    command = Command(["sync", "callrail", "tags"], harness.environment, harness.home / "command.log")
    code, text = command.ended()
    assert code == 0, text
    [run] = harness.runs("sync_callrail_tags")[:1]
    short = run.run_id[:8]
    page.goto(f"{address}/locations/warehouse/jobs/sync_callrail_tags/runs")
    expect(page.get_by_text(short).first).to_be_visible()
    page.goto(f"{address}/overview/activity/timeline")
    expect(page.get_by_text("sync_callrail_tags").first).to_be_visible()
    page.goto(f"{address}/assets/callrail_tag?view=events")
    expect(page.get_by_text(short).first).to_be_visible()

"""Runs in Dagster's UI, in a browser that never reloads: a running, a failed, a terminated one, one of a command.

What else a run may be doing when it is terminated is in ``test_terminate``; storage in SQLite in ``test_dagster_home``.
"""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import psycopg
import pytest

from warehouse_pipelines_tests.harness.browser import ask
from warehouse_pipelines_tests.harness.dagster_harness import DagsterHarness
from warehouse_pipelines_tests.harness.subprocesses import Command, eventually
from warehouse_pipelines_tests.orchestration.conftest import TAGS, UI

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [pytest.mark.ui, pytest.mark.slow("Chromium, and Dagster's processes"), pytest.mark.timeout(900)]


TERMINATE = "mutation terminate($run: String!) { terminateRun(runId: $run) { __typename } }"


def history(harness: DagsterHarness) -> list[str]:
    return [ended for ended, _, _ in harness.history("tags")]


def loads_of(page: "Page", url: str) -> Callable[[], int]:
    """Open a page, and return how often it was loaded since."""
    loads: list[str] = []
    page.goto(url)
    page.on("load", lambda _: loads.append(page.url))
    return lambda: len(loads)


def test_the_page_of_a_run_follows_it_and_shows_its_error(ui: UI, page: "Page") -> None:
    from playwright.sync_api import expect

    address, harness = ui.address, ui.harness
    harness.simulators.control("callrail", "set_fault", kind="rate_limit", retry_after=1, path="tags.json", times=1)
    harness.simulators.control("callrail", "set_fault", kind="slow", seconds=600, path="tags.json", after=1)
    harness.simulators.control("callrail", "set_fault", kind="status", status=403, path="tags.json", after=1)
    run_id = ui.launch()
    loads = loads_of(page, f"{address}/runs/{run_id}")
    expect(page.get_by_text("attempt 1 of 7").first).to_be_visible()
    assert ui.status(run_id) == "STARTED", "the page shows it while it runs"
    faults = partial(harness.simulators.control, "callrail", "list_faults")
    eventually(lambda: all(fault["fired"] for fault in faults()), "the second request waits for its answer")
    harness.simulators.control("callrail", "clear_faults")  # which sends it
    ui.wait(run_id, "FAILURE")
    expect(page.get_by_text("STEP_FAILURE").first).to_be_visible()
    expect(page.get_by_text("answered 403").first).to_be_visible()
    assert loads() == 0


def test_terminate_stops_a_run(ui: UI, page: "Page") -> None:
    """While it waits for an answer; it is not tried again."""
    from playwright.sync_api import expect

    address, harness = ui.address, ui.harness
    harness.simulators.control("callrail", "set_fault", kind="slow", seconds=600, path="tags.json")
    run_id = ui.launch()
    eventually(lambda: history(harness) == ["running"], "it waits for an answer", 240, pause=0.1)
    loads = loads_of(page, f"{address}/runs/{run_id}")  # one that is opened long before may keep its button disabled
    confirm = page.get_by_role("button", name="Terminate 1 run")

    def is_asked_for() -> bool:  # again: the page may draw the button anew while it is clicked
        if not confirm.is_visible():
            page.get_by_role("button", name="Terminate").first.click()
        return confirm.is_visible()

    eventually(is_asked_for, "the page asks whether to terminate", 60)
    confirm.click()
    ui.wait(run_id, "CANCELED")
    page.keyboard.press("Escape")
    expect(page.get_by_text("Canceled").first).to_be_visible()
    assert loads() == 0
    with psycopg.connect(harness.url) as connection:
        [(ended, message)] = connection.execute("SELECT status, error_message FROM orchestration.sync_history")
        assert ended == "cancelled"
        assert message.startswith("cancelled after ")
        assert connection.execute("SELECT count(*) FROM callrail_tag").fetchone() == (0,)
    assert harness.runs(TAGS)[0].run_id == run_id, "no run has come after it"


def test_a_run_of_a_command_is_seen_wherever_one_of_the_ui_is(ui: UI, page: "Page") -> None:
    from playwright.sync_api import expect

    address, harness = ui.address, ui.harness
    command = Command(["sync", "callrail", "tags"], harness.environment, harness.home / "command.log")
    code, text = command.ended()
    assert code == 0, text
    [run] = harness.runs(TAGS)[:1]
    short = run.run_id[:8]
    page.goto(f"{address}/locations/warehouse/jobs/{TAGS}/runs")
    expect(page.get_by_text(short).first).to_be_visible()
    page.goto(f"{address}/overview/activity/timeline")
    expect(page.get_by_text(TAGS).first).to_be_visible()
    page.goto(f"{address}/assets/callrail_tag?view=events")
    expect(page.get_by_text(short).first).to_be_visible()


def test_a_run_of_a_whole_crm_reads_side_by_side_until_it_is_terminated(ui: UI) -> None:
    harness = ui.harness
    running = "SELECT count(*) FROM orchestration.sync_history WHERE status = 'running'"
    harness.simulators.control("callrail", "set_fault", kind="slow", seconds=600)

    def at_a_time() -> int:
        with psycopg.connect(harness.url) as connection:
            return int(connection.execute(running).fetchall()[0][0])

    run_id = ui.launch("sync_callrail_all")
    eventually(lambda: at_a_time() == 3, "three parts read at a time", 240, pause=0.1)
    assert ask(ui.address, TERMINATE, run=run_id)["terminateRun"]["__typename"] == "TerminateRunSuccess"
    ui.wait(run_id, "CANCELED")
    assert at_a_time() == 0
    harness.simulators.control("callrail", "clear_faults")
    ui.wait(ui.launch("sync_callrail_all"), "SUCCESS")

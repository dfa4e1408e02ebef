"""Deltas and backfills in the Dagster UI: one click is a delta, months are partitions of a job of their own."""

import time
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from warehouse_pipelines.local.postgres import Server
from warehouse_pipelines_tests.harness.browser import ask, chromium, open_page, start_ui
from warehouse_pipelines_tests.harness.dagster_harness import DagsterHarness, dagster_harness

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [pytest.mark.ui, pytest.mark.slow("Chromium, and Dagster's processes")]

SECONDS = 240
ENDED = {"SUCCESS", "FAILURE", "CANCELED"}

RUNS = """
query { runsOrError(limit: 100, filter: {pipelineName: "%s"}) { ... on Runs { results { runId status
    tags { key value } } } } }
"""

PARTITIONED = """
query { assetNodeOrError(assetKey: {path: ["callrail_call"]}) { ... on AssetNode { isPartitioned } } }
"""


@pytest.fixture(scope="module")
def harness(test_server: Server, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DagsterHarness]:
    chromium()
    with dagster_harness(test_server, template, tmp_path_factory.mktemp("ui_backfill"), "dagster_ui_backfill") as made:
        yield made


@pytest.fixture(scope="module")
def address(harness: DagsterHarness) -> str:
    return start_ui(harness)


@pytest.fixture
def page() -> Iterator["Page"]:
    with open_page() as page:
        yield page


def runs(address: str, job: str, count: int) -> list[dict[str, Any]]:
    """Wait until ``count`` runs of a job that nobody scheduled have ended, and return them, newest first."""
    deadline = time.monotonic() + SECONDS
    while True:
        found = [
            {**run, "tags": {tag["key"]: tag["value"] for tag in run["tags"]}}
            for run in ask(address, RUNS % job)["runsOrError"]["results"]
        ]
        found = [run for run in found if "dagster/schedule_name" not in run["tags"]]
        if len(found) >= count and all(run["status"] in ENDED for run in found):
            assert len(found) == count
            return found
        assert time.monotonic() < deadline, found
        time.sleep(1)


def months(count: int) -> list[str]:
    """Return the latest months, this one last."""
    found: list[date] = [datetime.now(UTC).date().replace(day=1)]
    while len(found) < count:
        found.insert(0, (found[0] - timedelta(days=1)).replace(day=1))
    return [month.isoformat() for month in found]


def test_a_delta_is_one_click_on_asset_and_job(harness: DagsterHarness, address: str, page: "Page") -> None:
    page.goto(f"{address}/assets/callrail_text_message")
    page.get_by_role("button").filter(has_text="Materialize").first.click()
    [run] = runs(address, "__ASSET_JOB", 1)
    assert run["status"] == "SUCCESS"
    assert harness.history("text_messages") == [("success", "full", run["runId"])]

    page.goto(f"{address}/locations/warehouse/jobs/sync_callrail_text_messages")
    page.get_by_role("button").filter(has_text="Materialize").first.click()
    [run] = runs(address, "sync_callrail_text_messages", 1)
    assert run["status"] == "SUCCESS"
    assert harness.history("text_messages")[1:] == [("success", "delta", run["runId"])]


def test_months_are_backfilled_and_the_job_shows_them(harness: DagsterHarness, address: str, page: "Page") -> None:
    from playwright.sync_api import expect

    job = "backfill_callrail_calls"
    page.goto(f"{address}/locations/warehouse/jobs/{job}/partitions")
    page.get_by_role("button").filter(has_text="Launch backfill").click()
    wanted = months(2)
    field = page.get_by_placeholder("ex: ").first
    field.fill(f"[{wanted[0]}...{wanted[-1]}]")
    field.press("Enter")
    page.get_by_role("button").filter(has_text="Submit 2 runs").click()
    found = runs(address, job, len(wanted))
    assert {run["status"] for run in found} == {"SUCCESS"}
    assert {run["tags"]["dagster/partition"] for run in found} == set(wanted)
    assert {run["tags"]["dagster/backfill"] for run in found} == {found[0]["tags"]["dagster/backfill"]}
    assert [row[:2] for row in harness.history("calls")] == [("success", "backfill")] * len(wanted)

    page.goto(f"{address}/locations/warehouse/jobs/{job}/partitions")
    expect(page.get_by_text(f"{len(wanted)} partitions", exact=False).first).to_be_visible()
    asked = ask(address, PARTITIONED)["assetNodeOrError"]
    assert asked == {"isPartitioned": False}

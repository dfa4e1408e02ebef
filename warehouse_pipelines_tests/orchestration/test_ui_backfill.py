"""Deltas and backfills in the Dagster UI: one click is a delta, months are partitions of a job of their own."""

import time
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from warehouse_pipelines_tests.harness.browser import ask, open_page
from warehouse_pipelines_tests.orchestration.conftest import UI

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


@pytest.fixture
def page() -> Iterator["Page"]:
    with open_page() as page:
        yield page


def by_hand(address: str, job: str) -> list[dict[str, Any]]:
    """Return the runs of a job that nobody scheduled, newest first."""
    found = [
        {**run, "tags": {tag["key"]: tag["value"] for tag in run["tags"]}}
        for run in ask(address, RUNS % job)["runsOrError"]["results"]
    ]
    return [run for run in found if "dagster/schedule_name" not in run["tags"]]


def runs(address: str, job: str, count: int, before: int = 0) -> list[dict[str, Any]]:
    """Wait until ``count`` runs of a job that come after ``before`` others have ended, and return them."""
    deadline = time.monotonic() + SECONDS
    while True:
        found = by_hand(address, job)
        if len(found) >= before + count and all(run["status"] in ENDED for run in found):
            assert len(found) == before + count
            return found[:count]
        assert time.monotonic() < deadline, found
        time.sleep(0.5)


def months(count: int) -> list[str]:
    """Return the latest months, this one last."""
    found: list[date] = [datetime.now(UTC).date().replace(day=1)]
    while len(found) < count:
        found.insert(0, (found[0] - timedelta(days=1)).replace(day=1))
    return [month.isoformat() for month in found]


def test_a_delta_is_one_click_on_asset_and_job(ui: UI, page: "Page") -> None:
    address, harness = ui.address, ui.harness
    before = len(by_hand(address, "__ASSET_JOB"))
    page.goto(f"{address}/assets/callrail_text_message")
    page.get_by_role("button").filter(has_text="Materialize").first.click()
    [run] = runs(address, "__ASSET_JOB", 1, before)
    assert run["status"] == "SUCCESS"
    assert harness.history("text_messages") == [("success", "full", run["runId"])]

    page.goto(f"{address}/locations/warehouse/jobs/sync_callrail_text_messages")
    page.get_by_role("button").filter(has_text="Materialize").first.click()
    [run] = runs(address, "sync_callrail_text_messages", 1)
    assert run["status"] == "SUCCESS"
    assert harness.history("text_messages")[1:] == [("success", "delta", run["runId"])]


def test_months_are_backfilled_and_the_job_shows_them(ui: UI, page: "Page") -> None:
    from playwright.sync_api import expect

    address, harness = ui.address, ui.harness
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

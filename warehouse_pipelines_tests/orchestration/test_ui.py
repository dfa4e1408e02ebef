"""The Dagster UI in a browser: the asset graph, one click is a delta, months are partitions of a job of their own.

``UI_SCREENSHOTS`` names a folder for the pictures; two of those in ``docs/`` were made here.
"""

import os
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg
import pytest

from warehouse_pipelines_tests.harness.browser import ask
from warehouse_pipelines_tests.harness.dagster_harness import DagsterHarness
from warehouse_pipelines_tests.harness.subprocesses import eventually
from warehouse_pipelines_tests.orchestration.conftest import UI

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [pytest.mark.ui, pytest.mark.slow("Chromium, and Dagster's processes"), pytest.mark.timeout(900)]

ASSETS = "__ASSET_JOB"
"""The job of a run that somebody asks for on assets."""

PARTITIONED = """
query { assetNodeOrError(assetKey: {path: ["callrail_call"]}) { ... on AssetNode { isPartitioned } } }
"""


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    given = os.environ.get("UI_SCREENSHOTS")
    folder = Path(given) if given else tmp_path_factory.mktemp("screenshots")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def settle(page: "Page", milliseconds: int) -> None:
    """Wait until a picture that somebody wants would be complete; an error of a script shows at once."""
    page.wait_for_timeout(milliseconds if "UI_SCREENSHOTS" in os.environ else 500)


def ended(harness: DagsterHarness, job: str, before: int) -> dg.DagsterRun:
    """Wait until the run of a job has succeeded that comes after ``before`` others, and return it."""
    [run, *others] = harness.finished(job, before + 1)
    assert len(others) == before
    assert run.status == dg.DagsterRunStatus.SUCCESS
    return run


def months(count: int) -> list[str]:
    """Return the latest months, this one last."""
    found: list[date] = [datetime.now(UTC).date().replace(day=1)]
    while len(found) < count:
        found.insert(0, (found[0] - timedelta(days=1)).replace(day=1))
    return [month.isoformat() for month in found]


def test_one_click_syncs_a_group_an_asset_and_a_job(ui: UI, page: "Page", pictures: Path) -> None:
    from playwright.sync_api import expect

    address, harness, job = ui.address, ui.harness, "sync_callrail_calls"
    before, before_of_job = len(harness.runs(ASSETS)), len(harness.runs(job))
    broken: list[str] = []
    page.on("pageerror", lambda error: broken.append(str(error)))

    page.goto(f"{address}/asset-groups")
    expect(page.get_by_text("hubspot", exact=False).first).to_be_visible()
    settle(page, 3_000)  # the layout is computed in a worker, and the picture is of its result
    page.screenshot(path=pictures / "graph.png")

    page.goto(f"{address}/locations/warehouse/asset-groups/callrail")
    page.get_by_role("button", name="Materialize all").click()
    of_group = ended(harness, ASSETS, before)
    assert of_group.asset_selection is not None
    assert len(of_group.asset_selection) == 8
    assert harness.history("calls") == [("success", "full", of_group.run_id)]

    page.goto(f"{address}/locations/warehouse/asset-groups/callrail")
    expect(page.get_by_role("button", name="Materialize all")).to_be_visible()
    settle(page, 5_000)
    page.screenshot(path=pictures / "group.png")

    page.goto(f"{address}/runs/{of_group.run_id}")
    expect(page.get_by_text("Success").first).to_be_visible()
    settle(page, 3_000)
    page.screenshot(path=pictures / "run.png")

    page.goto(f"{address}/assets/callrail_text_message")
    expect(page.get_by_text("sync_history_id").first).to_be_visible()
    settle(page, 2_000)
    page.screenshot(path=pictures / "asset.png")
    page.get_by_role("button").filter(has_text="Materialize").first.click()
    eventually(lambda: len(harness.runs(ASSETS)) > before + 1, "the run is launched", pause=0.2)

    page.goto(f"{address}/locations/warehouse/jobs/{job}")
    page.get_by_role("button").filter(has_text="Materialize").first.click()
    of_job = ended(harness, job, before_of_job)
    of_asset = ended(harness, ASSETS, before + 1)
    assert harness.history("text_messages")[1:] == [("success", "delta", of_asset.run_id)]
    assert harness.history("calls")[1:] == [("success", "delta", of_job.run_id)]
    assert not broken


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
    found = harness.finished(job, len(wanted))
    assert len(found) == len(wanted)
    assert {run.status for run in found} == {dg.DagsterRunStatus.SUCCESS}
    assert {run.tags["dagster/partition"] for run in found} == set(wanted)
    assert {run.tags["dagster/backfill"] for run in found} == {found[0].tags["dagster/backfill"]}
    assert [row[:2] for row in harness.history("calls")] == [("success", "backfill")] * len(wanted)

    page.goto(f"{address}/locations/warehouse/jobs/{job}/partitions")
    expect(page.get_by_text(f"{len(wanted)} partitions", exact=False).first).to_be_visible()
    asked = ask(address, PARTITIONED)["assetNodeOrError"]
    assert asked == {"isPartitioned": False}

"""The Dagster UI in a browser: ``dagster dev`` on the workspace, the asset graph, a group materialized by hand.

``UI_SCREENSHOTS`` names a folder for the pictures; two of those in ``docs/`` were made here.
"""

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from warehouse_pipelines.local.postgres import Server
from warehouse_pipelines_tests.harness.browser import ask, chromium, open_page, start_ui
from warehouse_pipelines_tests.harness.dagster_harness import DagsterHarness, dagster_harness

pytestmark = [pytest.mark.ui, pytest.mark.slow("Chromium, and Dagster's processes")]

RUN_SECONDS = 240

RUNS = """
query { runsOrError(limit: 100) { ... on Runs { results { runId status jobName tags { key value }
    assetSelection { path } } } } }
"""


@pytest.fixture(scope="module")
def harness(test_server: Server, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DagsterHarness]:
    chromium()
    with dagster_harness(test_server, template, tmp_path_factory.mktemp("ui"), "dagster_ui") as made:
        yield made


@pytest.fixture(scope="module")
def address(harness: DagsterHarness) -> str:
    return start_ui(harness)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    given = os.environ.get("UI_SCREENSHOTS")
    folder = Path(given) if given else tmp_path_factory.mktemp("screenshots")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def by_hand(address: str) -> list[dict[str, Any]]:
    """Return the runs that no schedule asked for."""
    runs = ask(address, RUNS)["runsOrError"]["results"]
    return [run for run in runs if "dagster/schedule_name" not in {tag["key"] for tag in run["tags"]}]


def ended(address: str, before: int) -> dict[str, Any]:
    """Wait until a run by hand has ended that comes after ``before`` others, and return it."""
    deadline = time.monotonic() + RUN_SECONDS
    while len(runs := by_hand(address)) <= before or runs[0]["status"] not in {"SUCCESS", "FAILURE", "CANCELED"}:
        assert time.monotonic() < deadline, runs
        time.sleep(1)
    return runs[0]


def test_a_group_is_materialized_in_the_ui(harness: DagsterHarness, address: str, pictures: Path) -> None:
    from playwright.sync_api import expect

    with open_page(60) as page:
        broken: list[str] = []
        page.on("pageerror", lambda error: broken.append(str(error)))

        page.goto(f"{address}/asset-groups")
        expect(page.get_by_text("hubspot", exact=False).first).to_be_visible()
        page.wait_for_timeout(3_000)  # the layout is computed in a worker, and the picture is of its result
        page.screenshot(path=pictures / "graph.png")

        page.goto(f"{address}/locations/warehouse/asset-groups/callrail")
        page.get_by_role("button", name="Materialize all").click()
        delta = ended(address, before=0)
        assert delta["status"] == "SUCCESS"
        assert len(delta["assetSelection"]) == 8
        assert harness.history("calls")[-1] == ("success", "full", delta["runId"])

        page.goto(f"{address}/locations/warehouse/asset-groups/callrail")
        expect(page.get_by_role("button", name="Materialize all")).to_be_visible()
        page.wait_for_timeout(5_000)
        page.screenshot(path=pictures / "group.png")

        page.goto(f"{address}/runs/{delta['runId']}")
        expect(page.get_by_text("Success").first).to_be_visible()
        page.wait_for_timeout(3_000)
        page.screenshot(path=pictures / "run.png")

        page.goto(f"{address}/assets/callrail_company")
        expect(page.get_by_text("sync_history_id").first).to_be_visible()
        page.wait_for_timeout(2_000)
        page.screenshot(path=pictures / "asset.png")
        assert not broken

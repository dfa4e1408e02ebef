"""The Dagster UI in a browser: ``dagster dev`` on the workspace, the asset graph, a group materialized by hand.

``UI_SCREENSHOTS`` names a folder for the pictures; two of those in ``docs/`` were made here.
"""

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from warehouse_pipelines_tests.harness.browser import ask, chromium, open_page
from warehouse_pipelines_tests.orchestration.conftest import UI

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [pytest.mark.ui, pytest.mark.slow("Chromium, and Dagster's processes")]

RUN_SECONDS = 240

RUNS = """
query { runsOrError(limit: 100) { ... on Runs { results { runId status jobName tags { key value }
    assetSelection { path } } } } }
"""


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
        time.sleep(0.5)
    return runs[0]


def settle(page: "Page", milliseconds: int) -> None:
    """Wait until a picture that somebody wants would be complete; an error of a script shows at once."""
    page.wait_for_timeout(milliseconds if "UI_SCREENSHOTS" in os.environ else 500)


def test_a_group_is_materialized_in_the_ui(ui: UI, pictures: Path) -> None:
    chromium()
    from playwright.sync_api import expect

    address, before = ui.address, len(by_hand(ui.address))
    with open_page(60) as page:
        broken: list[str] = []
        page.on("pageerror", lambda error: broken.append(str(error)))

        page.goto(f"{address}/asset-groups")
        expect(page.get_by_text("hubspot", exact=False).first).to_be_visible()
        settle(page, 3_000)  # the layout is computed in a worker, and the picture is of its result
        page.screenshot(path=pictures / "graph.png")

        page.goto(f"{address}/locations/warehouse/asset-groups/callrail")
        page.get_by_role("button", name="Materialize all").click()
        delta = ended(address, before)
        assert delta["status"] == "SUCCESS"
        assert len(delta["assetSelection"]) == 8
        assert ui.harness.history("calls")[-1] == ("success", "full", delta["runId"])

        page.goto(f"{address}/locations/warehouse/asset-groups/callrail")
        expect(page.get_by_role("button", name="Materialize all")).to_be_visible()
        settle(page, 5_000)
        page.screenshot(path=pictures / "group.png")

        page.goto(f"{address}/runs/{delta['runId']}")
        expect(page.get_by_text("Success").first).to_be_visible()
        settle(page, 3_000)
        page.screenshot(path=pictures / "run.png")

        page.goto(f"{address}/assets/callrail_company")
        expect(page.get_by_text("sync_history_id").first).to_be_visible()
        settle(page, 2_000)
        page.screenshot(path=pictures / "asset.png")
        assert not broken

"""The Dagster UI in a browser: ``dagster dev`` on the workspace, the asset graph, a group materialized by hand.

``UI_SCREENSHOTS`` names a folder for the pictures; two of those in ``docs/`` were made here. The word "Materialized"
on the page is no proof, therefore the end of the run is asked from GraphQL.
"""

import json
import os
import shutil
import socket
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from warehouse_pipelines.local.postgres import Server
from warehouse_pipelines_tests.conftest import missing
from warehouse_pipelines_tests.harness.dagster_harness import DagsterHarness, dagster_harness

pytestmark = [pytest.mark.ui, pytest.mark.slow]

START_SECONDS = 300
RUN_SECONDS = 120

RUNS = """
query { runsOrError(limit: 100) { ... on Runs { results { runId status jobName tags { key value }
    assetSelection { path } } } } }
"""


def chromium() -> str:
    """Return the browser of this machine, or skip."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if found := shutil.which(name):
            return found
    return missing("Chromium (apt-get install chromium)")


@pytest.fixture(scope="module")
def here(test_server: Server, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DagsterHarness]:
    chromium()
    with dagster_harness(test_server, template, tmp_path_factory.mktemp("ui"), "dagster_ui") as made:
        yield made


@pytest.fixture(scope="module")
def address(here: DagsterHarness) -> str:
    return opened(here)


def opened(here: DagsterHarness) -> str:
    """Start ``dagster dev`` and return its address once it answers."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    child = here.start("dagster", "dev", "-w", "workspace.yaml", "-h", "127.0.0.1", "-p", str(port))
    found = f"http://127.0.0.1:{port}"
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            with urllib.request.urlopen(f"{found}/server_info", timeout=5):  # noqa: S310
                return found
        except OSError:
            log = (here.home / "dagster.log").read_text()
            assert child.poll() is None, log
            assert time.monotonic() < deadline, log
            time.sleep(0.5)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    given = os.environ.get("UI_SCREENSHOTS")
    folder = Path(given) if given else tmp_path_factory.mktemp("screenshots")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def ask(address: str, query: str, **variables: object) -> Any:
    asked = urllib.request.Request(  # noqa: S310
        f"{address}/graphql",
        json.dumps({"query": query, "variables": variables}).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(asked, timeout=60) as answer:  # noqa: S310
        return json.load(answer)["data"]


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


def test_a_group_is_materialized_in_the_ui(here: DagsterHarness, address: str, pictures: Path) -> None:
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=60_000)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium(), args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        page.set_default_timeout(60_000)
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
        assert here.history("calls")[-1] == ("success", "full", delta["runId"])

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
        browser.close()
        assert not broken

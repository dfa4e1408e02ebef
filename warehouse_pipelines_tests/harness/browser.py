"""Dagster's UI in headless Chromium: start it, open a page, ask its GraphQL.

A word on a page is no proof of what happened, therefore tests ask GraphQL how a run ended.
"""

import json
import shutil
import socket
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from warehouse_pipelines_tests.conftest import missing
from warehouse_pipelines_tests.harness.dagster_harness import DagsterHarness

if TYPE_CHECKING:
    from playwright.sync_api import Page

START_SECONDS = 300


def chromium() -> str:
    """Return the browser of this machine, or skip."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if found := shutil.which(name):
            return found
    return missing("Chromium (apt-get install chromium)")


def start_ui(harness: DagsterHarness) -> str:
    """Start ``dagster dev`` on a code server, which commands share, and return its address once it answers."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    child = harness.start("dagster", "dev", "-w", str(harness.start_code_server()), "-h", "127.0.0.1", "-p", str(port))
    found = f"http://127.0.0.1:{port}"
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            with urllib.request.urlopen(f"{found}/server_info", timeout=5):  # noqa: S310  # our own address
                return found
        except OSError:
            log = (harness.home / "dagster.log").read_text()
            assert child.poll() is None, log
            assert time.monotonic() < deadline, log
            time.sleep(0.5)


@contextmanager
def open_page(seconds: float = 120) -> Iterator["Page"]:
    """Open a page in a browser of its own, which waits ``seconds`` for what a test expects."""
    try:
        from playwright.sync_api import expect, sync_playwright
    except ImportError:
        missing("playwright")
    expect.set_options(timeout=1000 * seconds)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium(), args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        context = browser.new_context(viewport={"width": 1440, "height": 900})
        context.set_default_timeout(1000 * seconds)
        yield context.new_page()
        browser.close()


def ask(address: str, query: str, **variables: object) -> Any:
    """Return the data of a GraphQL answer."""
    asked = urllib.request.Request(  # noqa: S310  # our own address
        f"{address}/graphql",
        json.dumps({"query": query, "variables": variables}).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(asked, timeout=240) as answer:  # noqa: S310
        return json.load(answer)["data"]

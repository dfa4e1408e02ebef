"""Every page in headless Chromium: wide and on a phone, light and dark, with what axe-core finds; and pictures of some.

What is clicked is the navigation and, on each page, the first link of each table, as far as that leads to a page of
another kind. ``UI_SCREENSHOTS`` names a folder for the pictures; those in ``docs/`` were made here.
"""

import os
import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from warehouse_pipelines import warehouse
from warehouse_pipelines.serving.pages import PAGES
from warehouse_pipelines.simulators.core.population import Population
from warehouse_pipelines.sources import SOURCES
from warehouse_pipelines.unified import marts
from warehouse_pipelines_tests.conftest import missing
from warehouse_pipelines_tests.harness.browser import chromium
from warehouse_pipelines_tests.harness.invented_runs import invent
from warehouse_pipelines_tests.harness.serving import Serving, serving
from warehouse_pipelines_tests.harness.simulated_business import fill
from warehouse_pipelines_tests.harness.visitors import PASSWORD, add_user

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

pytestmark = [pytest.mark.ui, pytest.mark.slow("Chromium, on every page"), pytest.mark.timeout(1200)]

PEOPLE = 100
NARROW, WIDE = 390, 1280
MOST_PAGES = 60
SECONDS = 60
UNFOLD = "document.querySelectorAll('details').forEach(one => { one.open = true })"
LEAVE_TWO_OF_A_KIND = """
document.querySelectorAll('details + details + details').forEach(one => { one.open = false })
document.querySelectorAll('tbody').forEach(body => {
    const counts = {}
    for (const row of [...body.rows]) {
        const kind = [row, ...row.querySelectorAll('*')].map(one => one.tagName + one.className).join()
        counts[kind] = (counts[kind] || 0) + 1
        if (counts[kind] > 2) row.remove()
    }
})
"""
"""Axe takes its time for each row: of many details or rows with the same elements and classes it is asked of two."""
LOOKS = ("color-contrast", "link-in-text-block", "scrollable-region-focusable")
"""The rules that depend on width and colours; what the others read is the same text."""


@pytest.fixture(scope="module")
def serve(shared_url: str) -> Iterator[Serving]:
    now = datetime.now(UTC)
    with pytest.MonkeyPatch.context() as patch, warehouse.session(shared_url) as session:
        for source in SOURCES:
            for name in source.missing_settings():
                patch.setenv(name, "postgresql://x@127.0.0.1:1/x" if name.endswith("_URL") else "x")
        fill(session, Population(0, PEOPLE), PEOPLE, now)
        marts.run(session)
        invent(session, now)
        session.execute("ANALYZE")
        with serving(shared_url) as found:
            yield found


@pytest.fixture(scope="module")
def browser() -> "Iterator[Browser]":
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        missing("playwright")
    with sync_playwright() as playwright:
        made = playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox", "--disable-dev-shm-usage"])
        yield made
        made.close()


@pytest.fixture(scope="module")
def signed_in(browser: "Browser", serve: Serving) -> Any:
    """The cookies of an admin, who signed in by the form."""
    with browser.new_context(base_url=serve.address) as context:
        page = context.new_page()
        page.set_default_timeout(1000 * SECONDS)
        page.goto("/")
        page.fill("#name", add_user(serve.url, "admin", name="alex", password=PASSWORD))
        page.fill("#password", PASSWORD)
        page.click("main button")
        page.wait_for_url("**/")
        return context.storage_state()


def opened(browser: "Browser", serve: Serving, signed_in: Any, width: int, scheme: Any) -> "BrowserContext":
    made = browser.new_context(
        base_url=serve.address, storage_state=signed_in, color_scheme=scheme, viewport={"width": width, "height": 900}
    )
    made.set_default_timeout(1000 * SECONDS)
    return made


def kind_of(address: str) -> str:
    """Return an address without what makes one page of a kind differ from another."""
    parts = urlsplit(address)
    path = re.sub(r"^(/tables|/answers)/[a-z0-9_.]+", r"\1/*", parts.path)
    if path == "/dead-letters" and "entity=" in parts.query:
        return f"{path}?entity"
    return re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}|\d+", "*", path)


def faults(page: "Page", rules: Sequence[str] = ()) -> list[str]:
    """Return what is wrong with a page as it is shown and with all of it unfolded, by these rules of axe or by all."""
    from axe_playwright_python.sync_playwright import Axe

    found = []
    for unfolded in (False, True):
        if unfolded:
            page.evaluate(UNFOLD)
        beyond = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        if beyond > 0:
            found.append(f"{beyond} pixels wider than the window{', unfolded' if unfolded else ''}")
    page.evaluate(LEAVE_TWO_OF_A_KIND)
    options: dict[str, Any] = {"resultTypes": ["violations"]}
    if rules:
        options["runOnly"] = {"type": "rule", "values": [*rules]}
    for one in Axe().run(page, options=options).response["violations"]:
        if one["impact"] in ("serious", "critical"):
            found += [f"{one['id']}: {node['html'][:160]} {node['failureSummary'][:300]}" for node in one["nodes"][:3]]
    return found


def test_every_page_is_sound(browser: "Browser", serve: Serving, signed_in: Any) -> None:
    """Wide and light, then loaded again narrow and dark: widths tell what does not fit, colours what cannot be read."""
    wrong: list[str] = []
    kinds: set[str] = set()
    with opened(browser, serve, signed_in, WIDE, "light") as context:
        page = context.new_page()
        said: list[str] = []
        page.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on(
            "response", lambda answer: said.append(f"{answer.status} {answer.url}") if answer.status > 399 else None
        )
        page.goto("/")
        ways: list[tuple[str, str]] = [("", f'header nav a[href="{address}"]') for address, _, _ in PAGES]
        led_to = {kind_of(address) for address, _, _ in PAGES}
        for start, link in ways:  # which grows; the navigation is on every page
            if start and page.url != f"{serve.address}{start}":
                page.goto(start)
            page.evaluate(UNFOLD)
            with page.expect_navigation():
                page.locator(link).first.click()
            kind = kind_of(page.url)
            if kind in kinds:
                continue
            kinds.add(kind)
            assert len(kinds) < MOST_PAGES
            wrong += [f"{page.url}, wide: {fault}" for fault in faults(page)]
            page.set_viewport_size({"width": NARROW, "height": 900})
            page.emulate_media(color_scheme="dark")
            page.reload()
            wrong += [f"{page.url}, narrow: {fault}" for fault in [*faults(page, LOOKS), *said]]
            page.set_viewport_size({"width": WIDE, "height": 900})
            page.emulate_media(color_scheme="light")
            said.clear()
            here = page.url.removeprefix(serve.address)
            for place in range(page.locator("main table").count()):
                first = f"main table >> nth={place} >> tbody a"
                if page.locator(first).count():
                    address = page.locator(first).first.get_attribute("href") or ""
                    if address.startswith("/") and kind_of(address) not in kinds | led_to:
                        led_to.add(kind_of(address))
                        ways.append((here, f'main table >> nth={place} >> tbody a[href="{address}"]'))
    assert {kind_of(address) for address, _, _ in PAGES} <= kinds
    assert {"/runs/*", "/dead-letters/*"} <= kinds
    assert wrong == []


def test_the_status_page_is_sound_for_whoever_is_not_signed_in(browser: "Browser", serve: Serving) -> None:
    with browser.new_context(base_url=serve.address, viewport={"width": NARROW, "height": 900}) as context:
        page = context.new_page()
        page.goto("/status")
        assert faults(page) == []
        page.goto("/login")
        assert faults(page) == []


def test_filters_work_without_a_reload_and_without_a_script(browser: "Browser", serve: Serving, signed_in: Any) -> None:
    with opened(browser, serve, signed_in, WIDE, "light") as context:
        page = context.new_page()
        page.goto("/runs")
        assert page.locator("figure.chart canvas").count() == 4
        page.evaluate("window.kept = true")
        page.focus("#filter-crm")
        page.select_option("#filter-crm", "hubspot")
        page.wait_for_url("**/runs?crm=hubspot*")
        page.locator("figure.chart canvas").nth(3).wait_for()
        assert page.evaluate("window.kept") is True
        assert page.locator("main tbody th", has_text="pipedesk").count() == 0
        assert page.evaluate("document.activeElement.id") == "filter-crm", "the keyboard stays where it was"
    with browser.new_context(base_url=serve.address, storage_state=signed_in, java_script_enabled=False) as context:
        page = context.new_page()
        page.goto("/runs")
        page.select_option("#filter-crm", "hubspot")
        page.get_by_role("button", name="Show").click()
        assert "crm=hubspot" in page.url
        assert page.get_by_text("The figures as a table").count() == 4


def test_the_pictures_of_the_readme(
    browser: "Browser", serve: Serving, signed_in: Any, tmp_path_factory: pytest.TempPathFactory
) -> None:
    given = os.environ.get("UI_SCREENSHOTS")
    folder = Path(given) if given else tmp_path_factory.mktemp("screenshots")
    folder.mkdir(parents=True, exist_ok=True)
    with opened(browser, serve, signed_in, WIDE, "light") as context:
        page = context.new_page()
        page.goto("/")
        page.click("#callrail summary")
        page.set_viewport_size({"width": WIDE, "height": 1180})
        page.screenshot(path=folder / "page-overview.png")
        page.goto("/runs?status=partial&days=90")
        page.locator("main tbody th a").first.click()
        page.wait_for_url("**/runs/*")
        page.set_viewport_size({"width": WIDE, "height": 720})
        page.screenshot(path=folder / "page-run.png")
        page.goto("/status")
        page.screenshot(path=folder / "page-status.png", full_page=True)
        page.goto("/runs")
        page.locator("figure.chart canvas").nth(3).wait_for()
        page.screenshot(path=folder / "page-runs.png")
    with opened(browser, serve, signed_in, NARROW, "dark") as context:
        page = context.new_page()
        page.goto("/")
        page.screenshot(path=folder / "page-phone.png")
    sizes = {file.name: file.stat().st_size for file in folder.glob("page-*.png")}
    assert len(sizes) == 5
    assert all(10_000 < size < 400_000 for size in sizes.values()), sizes

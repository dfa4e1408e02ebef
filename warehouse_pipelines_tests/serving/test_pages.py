"""Pages: what every page has, and how they say times and counts."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from warehouse_pipelines.serving.pages import PAGES
from warehouse_pipelines.serving.pages.render import ago, bars
from warehouse_pipelines_tests.harness.serving import Serving, serving
from warehouse_pipelines_tests.harness.visitors import PASSWORD, Browser, add_user

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def browser(database_url: str) -> Iterator[Browser]:
    with serving(database_url) as found:
        yield signed_in(found, "viewer")


def signed_in(serve: Serving, role: str) -> Browser:
    made = Browser(serve.address)
    made.login(add_user(serve.url, role, password=PASSWORD))
    return made


def test_every_page_of_the_navigation_opens_and_is_named_there(browser: Browser) -> None:
    for address, name, _ in PAGES:
        answer = browser.get(address)
        assert answer.status_code == 200, answer.text
        assert f'<a href="{address}" aria-current="page">{name}</a>' in answer.text
        assert "<script>" not in answer.text
        assert "style=" not in answer.text


@pytest.mark.parametrize(
    ("gap", "said"),
    [
        (timedelta(seconds=59), "now"), (timedelta(seconds=61), "1 minute ago"), (timedelta(hours=26), "1 day ago"),
        (timedelta(hours=-3), "in 3 hours"),
    ],
)  # fmt: skip
def test_a_time_is_said_in_its_largest_unit(gap: timedelta, said: str) -> None:
    assert ago(NOW - gap, NOW) == said
    assert ago(None, NOW) == "never"


def test_a_value_that_is_not_zero_has_a_bar_that_can_be_seen() -> None:
    assert [height for _, _, height in bars([0, 1, 1_000_000])] == [0, 1, 24]
    assert bars([]) == []
    assert [height for _, _, height in bars([0, 0])] == [0, 0]

"""Pages: what every page has, and how they say times and counts."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from warehouse_pipelines.serving.pages import PAGES
from warehouse_pipelines.serving.pages.render import ago, bars, brief, portions
from warehouse_pipelines_tests.harness.serving import Serving, serving
from warehouse_pipelines_tests.harness.visitors import PASSWORD, Browser, add_user

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def browser(database_url: str) -> Iterator[Browser]:
    with serving(database_url) as found:
        yield signed_in(found, "operator")


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
    assert bars([0, 1, 1_000_000], ["quiet", "good", "good"]) == {
        "quiet": "M0 20v-0h3v0z", "good": "M4 20v-3h3v3zM8 20v-20h3v20z",
    }  # fmt: skip
    assert bars([], []) == {}
    assert bars([1], ["good"], places=3) == {"good": "M8 20v-20h3v20z"}


def test_the_parts_of_a_bar_fill_it_and_none_is_lost() -> None:
    found = portions([("a", 0, "good"), ("b", 999_999, "bad"), ("c", 1, "quiet")])
    assert [words for _, _, _, words in found] == ["b", "c"]
    assert found[0][:2] == (0.0, 100.0)
    assert found[1][1] == 0.5, "what is there can be seen"
    assert portions([]) == []


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.04, "0.0 s"), (9.94, "9.9 s"), (75, "1 min"), (5400, "1.5 h"), (36_000, "10 h"), (200_000, "2.3 d")],
)
def test_a_length_of_time_is_short(seconds: float, said: str) -> None:
    assert brief(seconds) == brief(timedelta(seconds=seconds)) == said

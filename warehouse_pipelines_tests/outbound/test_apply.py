"""What a plan writes, what it leaves alone, and what the vendor may answer meanwhile."""

from collections.abc import Iterator
from typing import Any

import pytest

from warehouse_pipelines import warehouse
from warehouse_pipelines.errors import ActionNeeded, WrongUse
from warehouse_pipelines_tests.harness.portal_target import PortalTarget, portal_target, rows


@pytest.fixture
def portal(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[PortalTarget]:
    with portal_target(database_url, monkeypatch) as made:
        yield made


def test_what_was_written_comes_back_and_two_runs_later_nothing_was_written(portal: PortalTarget) -> None:
    portal.give(*rows(250, genius_phone="+16145550123", genius_served="true"))
    first = portal.apply()
    assert (first.status, first.statuses) == ("applied", {"written": 250})
    assert portal.having("90007")["city"] == "City 6"
    portal.hubspot.reset_counters()
    for _ in range(2):
        again = portal.apply()
        assert (again.unchanged, again.statuses) == (250, {})
    assert not portal.writes()


def test_plan_reads_and_writes_nothing(portal: PortalTarget) -> None:
    before = portal.state()
    portal.give(*rows(3))
    plan = portal.plan()
    assert (plan.status, plan.actions) == ("planned", {"create": 3})
    assert portal.state() == before
    assert not portal.writes()

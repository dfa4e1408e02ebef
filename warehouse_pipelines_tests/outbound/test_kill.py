"""Applying that is killed at any point: the next one makes no record twice and leaves none out."""

import itertools
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from warehouse_pipelines.outbound import ledger
from warehouse_pipelines.outbound.hubspot import HubSpotPartner
from warehouse_pipelines.outbound.ledger import Plan
from warehouse_pipelines.simulators.server import child_environment
from warehouse_pipelines_tests.harness.examples import examples
from warehouse_pipelines_tests.harness.portal_target import PortalTarget, portal_target, rows

BATCH = 4
CHANGED = 7


class Killed(BaseException):
    """Stands for SIGKILL: nothing of ours catches it, and the database rolls back what was not committed."""


@pytest.fixture
def portal(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[PortalTarget]:
    monkeypatch.setattr(HubSpotPartner, "most", BATCH)
    with portal_target(database_url, monkeypatch) as made:
        yield made


def planned(portal: PortalTarget) -> tuple[dict[str, Any], Plan]:
    """Plan creates and updates in several batches; return what the portal had before."""
    given = rows(2 * CHANGED)
    portal.give(*[{**row, "branch": "Dayton"} for row in given[:CHANGED]])
    portal.apply()
    before = portal.state()
    portal.give(*[{**row, "city": "Elsewhere", "branch": "Toledo"} for row in given])
    return before, portal.plan()


def kill_at(point: int, monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """Kill this process before or after the nth request or note; return what counts the points that were passed."""
    passed = itertools.count()
    reached = 0

    def here() -> None:
        nonlocal reached
        reached = next(passed)
        if reached == point:
            raise Killed

    def around(function: Callable[..., Any]) -> Callable[..., Any]:
        def killed(*args: Any, **kwargs: Any) -> Any:
            here()
            result = function(*args, **kwargs)
            here()
            return result

        return killed

    monkeypatch.setattr(httpx.Client, "request", around(httpx.Client.request))
    for name in ("begin", "settle", "mark", "set_status"):
        monkeypatch.setattr(ledger, name, around(getattr(ledger, name)))
    return lambda: reached


def check_all_written(portal: PortalTarget, before: dict[str, Any], plan: Plan) -> None:
    assert portal.finish(plan).statuses == {"written": 2 * CHANGED}
    mine = [one for one in portal.state().values() if "genius_zip" in one]
    [toledo] = {one["divisions"] for one in mine}
    assert toledo.isdigit()
    assert sorted((one["genius_zip"], one["city"]) for one in mine) == [
        (row["key"], "Elsewhere") for row in rows(2 * CHANGED)
    ]
    portal.undo(plan)
    assert portal.state() == before


def points(monkeypatch: pytest.MonkeyPatch, portal: PortalTarget) -> int:
    """Return how many points an attempt passes that is not killed."""
    before, plan = planned(portal)
    with monkeypatch.context() as patched:
        count = kill_at(-1, patched)
        portal.apply(plan)
    portal.undo(plan)
    assert portal.state() == before
    return count()


def killed(portal: PortalTarget, monkeypatch: pytest.MonkeyPatch, plan: Plan, point: int) -> bool:
    with monkeypatch.context() as patched:
        kill_at(point, patched)
        try:
            portal.apply(plan)
        except Killed:
            return True
    return False


def check_points(portal: PortalTarget, monkeypatch: pytest.MonkeyPatch, step: int) -> int:
    """Kill at every ``step``th point, once each, and return how many kills there were."""
    last = points(monkeypatch, portal)
    given, done = rows(2 * CHANGED), 0
    for point in range(step // 2, last + 1, step):
        portal.give(*[{**row, "branch": "Dayton"} for row in given[:CHANGED]])
        portal.apply()
        before = portal.state()
        portal.give(*[{**row, "city": "Elsewhere", "branch": "Toledo"} for row in given])
        plan = portal.plan()
        done += killed(portal, monkeypatch, plan, point)
        check_all_written(portal, before, plan)
    return done


@pytest.mark.timeout(900)
def test_killed_at_many_points_nothing_is_made_twice_and_nothing_is_left_out(
    portal: PortalTarget, monkeypatch: pytest.MonkeyPatch
) -> None:
    kills = examples(5, of=16)
    assert check_points(portal, monkeypatch, 65 // kills) >= kills


def test_killed_twice_it_still_goes_on(portal: PortalTarget, monkeypatch: pytest.MonkeyPatch) -> None:
    before, plan = planned(portal)
    for point in (31, 12):
        assert killed(portal, monkeypatch, plan, point)
    check_all_written(portal, before, plan)


def test_a_new_plan_reads_back_what_a_killed_one_sent(portal: PortalTarget, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kill comes right after a batch was made at the vendor."""
    _, plan = planned(portal)
    with monkeypatch.context() as patched:
        send = httpx.Client.request

        def request(self: httpx.Client, method: str, url: str, **how: Any) -> httpx.Response:
            answer = send(self, method, url, **how)
            if str(url).endswith("batch/create") and len(portal.state()) > CHANGED + 1:
                raise Killed
            return answer

        patched.setattr(httpx.Client, "request", request)
        with pytest.raises(Killed):
            portal.apply(plan)
    newer = portal.plan()
    statuses = [item["status"] for item in portal.items(plan)]
    assert statuses.count("written") == 1 + BATCH
    assert newer.statuses == {"planned": 2 * CHANGED - 1 - BATCH}
    portal.apply(newer)
    assert len([one for one in portal.state().values() if "genius_zip" in one]) == 2 * CHANGED


CHILD = """
import os, signal, sys
import httpx
from warehouse_pipelines.outbound.hubspot import HubSpotPartner
from warehouse_pipelines_tests.harness.portal_target import PortalTarget, ZIPS, rows

url, plan, after = sys.argv[1], sys.argv[2], int(sys.argv[3])
HubSpotPartner.most = 4
send, seen = httpx.Client.request, 0

def request(self, method, path, **how):
    global seen
    answer = send(self, method, path, **how)
    seen += str(path).endswith(("batch/create", "batch/update"))
    if seen == after:
        os.kill(os.getpid(), signal.SIGKILL)
    return answer

httpx.Client.request = request
portal = PortalTarget.__new__(PortalTarget)
portal.url, portal.target, portal.rows = url, ZIPS, []
from warehouse_pipelines import warehouse
from warehouse_pipelines.outbound import ledger
with warehouse.session(url) as session:
    found = ledger.plan(session, plan)
portal.apply(found)
"""


def test_after_kill_9_the_next_apply_goes_on(portal: PortalTarget, database_url: str) -> None:
    before, plan = planned(portal)
    done = subprocess.run(
        [sys.executable, "-c", CHILD, database_url, str(plan.plan_id), "3"],
        env={**child_environment(), **os.environ}, check=False, capture_output=True,
    )  # fmt: skip
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    assert [item["status"] for item in portal.items(plan)].count("sending") > 0
    check_all_written(portal, before, plan)

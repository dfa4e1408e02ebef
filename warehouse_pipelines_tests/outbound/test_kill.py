"""Applying that is killed at any point: the next one makes no record twice and leaves none out."""

import signal
from collections.abc import Iterator
from typing import Any
from unittest.mock import patch

import httpx
import pytest

from warehouse_pipelines import warehouse
from warehouse_pipelines.errors import ActionNeeded, WrongUse
from warehouse_pipelines.loading import retention
from warehouse_pipelines.outbound.hubspot import HubSpotPartner
from warehouse_pipelines.outbound.ledger import Plan
from warehouse_pipelines_tests.harness.examples import examples
from warehouse_pipelines_tests.harness.fault_points import Killed, apply_and_kill, killed_at
from warehouse_pipelines_tests.harness.portal_target import BY, PortalTarget, portal_target, rows

BATCH = 4
CHANGED = 7


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


def points(portal: PortalTarget) -> int:
    """Return how many points an attempt passes that is not killed."""
    before, plan = planned(portal)
    with killed_at(-1) as count:
        portal.apply(plan)
    portal.undo(plan)
    assert portal.state() == before
    return count()


def killed(portal: PortalTarget, plan: Plan, point: int) -> bool:
    try:
        with killed_at(point):
            portal.apply(plan)
    except Killed:
        return True
    return False


def check_points(portal: PortalTarget, step: int) -> int:
    """Kill at every ``step``th point, once each, and return how many kills there were."""
    last = points(portal)
    given, done = rows(2 * CHANGED), 0
    for point in range(step // 2, last + 1, step):
        portal.give(*[{**row, "branch": "Dayton"} for row in given[:CHANGED]])
        portal.apply()
        before = portal.state()
        portal.give(*[{**row, "city": "Elsewhere", "branch": "Toledo"} for row in given])
        plan = portal.plan()
        done += killed(portal, plan, point)
        check_all_written(portal, before, plan)
    return done


@pytest.mark.timeout(900)
@pytest.mark.slow("a program of its own, which is killed")
def test_killed_at_many_points_nothing_is_made_twice_and_nothing_is_left_out(portal: PortalTarget) -> None:
    kills = examples(5, of=7)  # each falls on another side of a request or a note than the one before
    assert check_points(portal, 65 // kills) >= kills


def test_killed_twice_it_still_goes_on(portal: PortalTarget) -> None:
    before, plan = planned(portal)
    for point in (31, 12):
        assert killed(portal, plan, point)
    check_all_written(portal, before, plan)


def test_a_new_plan_reads_back_what_a_killed_one_sent(portal: PortalTarget, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kill comes right after a batch was made at the vendor."""
    _, plan = planned(portal)
    with monkeypatch.context() as patched:
        send = httpx.Client.send

        def killed_after(self: httpx.Client, request: httpx.Request, **how: Any) -> httpx.Response:
            answer = send(self, request, **how)
            if request.url.path.endswith("batch/create") and len(portal.state()) > CHANGED + 1:
                raise Killed
            return answer

        patched.setattr(httpx.Client, "send", killed_after)
        with pytest.raises(Killed):
            portal.apply(plan)
    newer = portal.plan()
    statuses = [item["status"] for item in portal.items(plan)]
    assert statuses.count("written") == 1 + BATCH
    assert newer.statuses == {"planned": 2 * CHANGED - 1 - BATCH}
    portal.apply(newer)
    assert len([one for one in portal.state().values() if "genius_zip" in one]) == 2 * CHANGED


def links_killed(portal: PortalTarget, plan: Plan) -> None:
    """Apply a plan until an association was added, and none taken away."""
    send = httpx.Client.send

    def killed_after(self: httpx.Client, request: httpx.Request, **how: Any) -> httpx.Response:
        answer = send(self, request, **how)
        if "associations" in request.url.path and request.url.path.endswith("batch/create"):
            raise Killed
        return answer

    with patch.object(httpx.Client, "send", killed_after), pytest.raises(Killed):
        portal.apply(plan)


def test_an_undo_that_was_killed_between_two_associations_goes_on(portal: PortalTarget) -> None:
    _, plan, before = undo_killed(portal)
    assert ";" in portal.having("90001")["divisions"]
    portal.undo(plan)
    assert portal.state() == before


def undo_killed(portal: PortalTarget) -> tuple[Plan, Plan, dict[str, Any]]:
    """Undo the second of two plans until one of two associations was changed; return both plans, and what was there."""
    portal.give(*rows(1, branch="Dayton"))
    first = portal.apply()
    before = portal.state()
    portal.give(*rows(1, branch="Toledo"))
    plan = portal.apply()
    with portal.outbound() as outbound:
        undo = outbound.plan_undo(plan, BY)
    links_killed(portal, undo)
    return first, plan, before


def test_nothing_is_planned_while_a_killed_undo_waits(portal: PortalTarget) -> None:
    first, plan, before = undo_killed(portal)
    waits = f"warehouse outbound undo {plan.plan_id} --yes"
    with pytest.raises(ActionNeeded, match=waits):
        portal.plan()
    with pytest.raises(ActionNeeded, match=waits):
        portal.undo(first)
    with portal.outbound() as outbound, pytest.raises(WrongUse, match=f"Undos of these plans do: {plan.plan_id}"):
        outbound.give_up_undo(first, BY)
    portal.undo(plan)
    assert portal.state() == before
    assert portal.apply().statuses == {"written": 1}


def test_an_undo_that_waits_outlives_the_age_of_plans(portal: PortalTarget, database_url: str) -> None:
    _, plan, before = undo_killed(portal)
    with warehouse.session(database_url) as session:
        session.execute("UPDATE reverse_etl.plan SET created_at = now() - interval '9 years'")
        session.execute("UPDATE reverse_etl.receipt SET sent_at = now() - interval '9 years'")
        retention.run(session, [], only=["outbound_plans", "outbound_receipts"])
    portal.undo(plan)
    assert portal.state() == before


def test_an_undo_that_was_given_up_can_be_asked_for_again(portal: PortalTarget) -> None:
    _, plan, before = undo_killed(portal)
    with portal.outbound() as outbound:
        assert outbound.give_up_undo(plan, BY).statuses == {"partial": 1}
        with pytest.raises(WrongUse, match="no undo"):
            outbound.give_up_undo(plan, BY)
    portal.plan()
    assert portal.undo(plan).statuses == {"written": 1}
    assert portal.state() == before


def test_an_association_that_a_killed_plan_added_is_taken_away_by_the_undos(portal: PortalTarget) -> None:
    portal.give(*rows(1, branch="Dayton"))
    portal.apply()
    before = portal.state()
    portal.give(*rows(1, branch="Toledo"))
    plan = portal.plan()
    links_killed(portal, plan)
    newer = portal.apply()
    assert portal.items(plan)[0]["status"] == "partial"
    assert newer.statuses == {"written": 1}
    assert portal.having("90001")["divisions"] != before[portal.having("90001")["hs_object_id"]]["divisions"]
    for one in (newer, plan):
        portal.undo(one)
    assert portal.state() == before


def test_an_association_of_which_a_part_was_written_and_that_somebody_changed_is_told(portal: PortalTarget) -> None:
    portal.give(*rows(1, branch="Dayton"))
    portal.apply()
    portal.give(*rows(1, branch="Toledo"))
    plan = portal.plan()
    links_killed(portal, plan)
    portal.plan()
    columbus = portal.hubspot.ids("divisions")[2]
    portal.hubspot.associate("zipcodes", portal.having("90001")["hs_object_id"], "divisions", columbus)
    changed = portal.state()
    undone = portal.undo(plan)
    assert (undone.statuses, portal.status(plan)) == ({"refused": 1}, "undone")
    assert portal.items(undone)[0]["reason"] == "changed at the vendor since, and left as it is: division_link"
    assert portal.state() == changed


@pytest.mark.slow("a program of its own, which is killed")
def test_after_kill_9_the_next_apply_goes_on(portal: PortalTarget, database_url: str) -> None:
    before, plan = planned(portal)
    done = apply_and_kill(database_url, plan, after=3, most=BATCH)
    assert done.returncode == -signal.SIGKILL, done.stderr
    portal.wait_until_free()
    assert [item["status"] for item in portal.items(plan)].count("sending") > 0
    check_all_written(portal, before, plan)

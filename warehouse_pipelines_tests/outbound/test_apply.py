"""What a plan writes, what it leaves alone, and what the vendor may answer meanwhile."""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from warehouse_pipelines import warehouse
from warehouse_pipelines.errors import (
    ActionNeeded,
    BudgetSpent,
    RequestRefused,
    SyncRunning,
    TryAgain,
    VendorUnavailable,
    WarehouseError,
    WrongUse,
)
from warehouse_pipelines.loading.hash_and_drop import HASH
from warehouse_pipelines.model.reading import Budget
from warehouse_pipelines.outbound.applying import PART_WAITS, PUT_OFF
from warehouse_pipelines.outbound.delivery import Delivery
from warehouse_pipelines.outbound.ledger import Item
from warehouse_pipelines.sources import _http
from warehouse_pipelines_tests.harness.portal_target import BY, PortalTarget, portal_target, rows

slow = pytest.mark.slow


@pytest.fixture
def portal(database_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[PortalTarget]:
    monkeypatch.setenv("WAREHOUSE_HOME", str(tmp_path))
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


def test_the_first_record_goes_alone(portal: PortalTarget) -> None:
    portal.give(*rows(150))
    portal.apply()
    assert [len(one["body"]["inputs"]) for one in portal.writes()] == [1, 100, 49]


def test_a_record_that_people_made_is_found_by_what_the_row_matches(portal: PortalTarget) -> None:
    theirs = portal.hubspot.create("zipcodes", {"zipcode": "90001", "state": "PA", "county": "Erie"})
    portal.give(*rows(1, state="OH", county="Lake"))
    plan = portal.apply()
    assert plan.actions == {"update": 1}
    assert plan.kept == 2
    found = portal.having("90001")
    assert (found["hs_object_id"], found["city"]) == (theirs, "City 0")
    assert (found["state"], found["county"]) == ("PA", "Erie")


def test_two_records_that_match_are_told_and_neither_is_written(portal: PortalTarget) -> None:
    for _ in range(2):
        portal.hubspot.create("zipcodes", {"zipcode": "90001"})
    portal.give(*rows(2))
    plan = portal.apply()
    assert plan.statuses == {"refused": 1, "written": 1}
    assert "2 records" in portal.items(plan)[0]["reason"] or "2 records" in portal.items(plan)[1]["reason"]


@pytest.mark.parametrize(("owner", "stays"), [("city", False), ("county", True), ("state", True)])
def test_a_persons_edit_stays_unless_we_own_the_field(portal: PortalTarget, owner: str, stays: bool) -> None:
    """``city`` is ours, ``county`` the newest's, ``state`` theirs."""
    portal.give(*rows(1, county="Lake", state="OH"))
    portal.apply()
    portal.hubspot.edit("zipcodes", portal.having("90001")["hs_object_id"], {owner: "by hand"})
    for county in ("Lake", "Geauga"):
        portal.give(*rows(1, county=county, state="PA"))
        portal.apply()
    assert (portal.having("90001")[owner] == "by hand") is stays


def test_our_newer_value_goes_over_our_older_one(portal: PortalTarget) -> None:
    for county in ("Lake", "Geauga"):
        portal.give(*rows(1, county=county))
        portal.apply()
    assert portal.having("90001")["county"] == "Geauga"


def test_null_overwrites_nothing_unless_the_field_says_so(portal: PortalTarget) -> None:
    portal.give(*rows(1))
    portal.apply()
    portal.give(*rows(1, city=None) and [{**rows(1)[0], "city": None, "genius_score": None}])
    portal.apply()
    found = portal.having("90001")
    assert found["city"] == "City 0"
    assert "genius_score" not in found


def test_a_phone_in_the_vendors_form_is_neither_sent_again_nor_archived(portal: PortalTarget) -> None:
    portal.hubspot.configure(phones_as="national")
    portal.give(*rows(2, genius_phone="+16145550123"))
    plan = portal.apply()
    assert plan.statuses == {"written": 2}
    assert portal.having("90001")["genius_phone"] == "(614) 555-0123"
    portal.hubspot.reset_counters()
    assert portal.apply().unchanged == 2
    assert not portal.writes()
    portal.undo(plan)
    assert not [one for one in portal.state().values() if one.get("genius_zip")]


def test_what_moved_since_the_plan_is_left_alone(portal: PortalTarget) -> None:
    portal.give(*rows(3))
    portal.apply()
    portal.give(*[{**row, "city": "Elsewhere"} for row in rows(3)])
    plan = portal.plan()
    portal.hubspot.edit("zipcodes", portal.having("90002")["hs_object_id"], {"city": "by hand"})
    portal.hubspot.archive("zipcodes", portal.having("90003")["hs_object_id"])
    done = portal.apply(plan)
    assert (done.status, done.statuses) == ("partial", {"written": 1, "moved": 2})
    assert portal.having("90002")["city"] == "by hand"


def test_a_record_of_the_key_that_came_meanwhile_is_not_made_twice(portal: PortalTarget) -> None:
    portal.give(*rows(2))
    plan = portal.plan()
    portal.hubspot.create("zipcodes", {"genius_zip": "90002"})
    assert portal.apply(plan).statuses == {"written": 1, "moved": 1}
    assert "city" not in portal.having("90002")


@pytest.mark.parametrize("multi_status", [False, True])
@pytest.mark.parametrize(
    "place",
    [0, 1, 99, 100, pytest.param(555, marks=slow("many records")), pytest.param(999, marks=slow("many records"))],
)
def test_one_bad_record_among_many_costs_one_reject_and_few_calls(
    portal: PortalTarget, place: int, multi_status: bool
) -> None:
    """At most twice the logarithm of the batch, whether the vendor does a batch in part or refuses it as a whole."""
    portal.hubspot.configure(refused_values=["bad"], multi_status=multi_status)
    count = 200 if place < 200 else 1_000
    given = rows(count)
    given[place]["city"] = "bad"
    portal.give(*given)
    plan = portal.apply()
    assert plan.statuses == {"written": count - 1, "refused": 1}
    [item] = [one for one in portal.items(plan) if one["status"] == "refused"]
    assert item["source_key"] == given[place]["key"]
    assert "validation rule" in item["reason"]
    canaries = 2 if place == 0 else 1
    without = canaries + math.ceil((count - canaries) / 100)
    assert len(portal.writes()) - without <= (0 if multi_status else 2 * math.log2(100))


def test_one_conflict_costs_one_record_and_not_its_batch(portal: PortalTarget) -> None:
    portal.give(*rows(100))
    plan = portal.plan()
    kept = portal.hubspot.portal.create
    calls = 0

    def create(store: Any, properties: dict[str, Any]) -> int:
        nonlocal calls
        calls += 1
        if calls == 1:  # with the canary comes somebody else's record of a later key
            kept(store, {"genius_zip": "90070"})
        return kept(store, properties)

    portal.hubspot.portal.create = create  # type: ignore[method-assign]
    done = portal.apply(plan)
    assert done.statuses == {"written": 99, "moved": 1}


def test_complete_without_results_is_no_success(portal: PortalTarget) -> None:
    portal.give(*rows(50))
    portal.hubspot.set_fault("lost_inputs", path="batch/create", after=1)
    with pytest.raises(ActionNeeded, match="did not refuse it, and does not have it"):
        portal.apply()
    assert len(portal.state()) == 1


def test_what_the_answer_lacks_is_a_reject(portal: PortalTarget) -> None:
    portal.give(*rows(50))
    portal.hubspot.set_fault("lost_inputs", path="batch/create", after=1, keep=40)
    done = portal.apply()
    assert done.statuses == {"written": 41, "refused": 9}
    portal.hubspot.clear_faults()
    assert portal.apply().statuses == {"written": 9}


def test_an_association_that_the_vendor_loses_does_not_cost_the_one_before(portal: PortalTarget) -> None:
    portal.give(*rows(3, branch="Dayton"))
    portal.apply()
    before = portal.state()
    portal.give(*rows(3, branch="Toledo"))
    portal.hubspot.set_fault("lost_inputs", path="associations/2-37000101/2-37000002/batch/create", after=1)
    assert portal.apply().statuses == {"written": 1, "refused": 2}
    portal.hubspot.clear_faults()
    assert [one["divisions"] for one in portal.state().values()][1:] == [one["divisions"] for one in before.values()][
        1:
    ]
    assert portal.apply().statuses == {"written": 2}


@pytest.mark.parametrize("kind", ["lost_answer", "reset", "truncated"])
@pytest.mark.parametrize("action", ["create", "update"])
def test_a_write_whose_answer_is_lost_is_done_once(portal: PortalTarget, kind: str, action: str) -> None:
    portal.give(*rows(120))
    if action == "update":
        portal.apply()
        portal.give(*[{**row, "city": "Elsewhere"} for row in rows(120)])
    portal.hubspot.reset_counters()
    portal.hubspot.set_fault(kind, path=f"batch/{action}")
    done = portal.apply()
    assert done.statuses == {"written": 120}
    assert sorted(one["genius_zip"] for one in portal.state().values() if "genius_zip" in one) == [
        row["key"] for row in rows(120)
    ]
    assert len(portal.writes()) == 3


@pytest.mark.parametrize("fault", [{"kind": "rate_limit"}, {"kind": "status", "status": 503}, {"kind": "html"}])
def test_a_vendor_that_is_busy_is_asked_again(portal: PortalTarget, fault: dict[str, Any]) -> None:
    portal.give(*rows(30))
    portal.hubspot.set_fault(**fault, path="batch/", every=3)
    assert portal.apply().statuses == {"written": 30}


def told(portal: PortalTarget) -> list[tuple[str, str | None, str | None, str | None]]:
    """The status and reason of each item, with those of its receipt."""
    with warehouse.session(portal.url) as session:
        found = session.execute(
            "SELECT i.status, i.reason, r.status AS receipt, r.message FROM reverse_etl.plan_item AS i"
            " LEFT JOIN reverse_etl.receipt AS r USING (operation_id) WHERE i.status <> 'written' ORDER BY i.item_no"
        ).fetchall()
    return [(row["status"], row["reason"], row["receipt"], row["message"]) for row in found]


def test_what_waits_for_the_budget_is_not_told_as_sent(portal: PortalTarget, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where fewer requests were held than the write needs."""
    monkeypatch.setattr(_http, "FEWEST_HELD", 1)
    portal.give(*rows(1))
    plan = portal.plan()
    spent: list[bool] = []
    waits: list[Any] = []

    def acquire(credential: str, budget: Budget, longest_wait: float | None) -> None:
        if longest_wait is not None and not spent:
            spent.append(True)
            raise BudgetSpent("spent", seconds=60)
        if spent and not waits:
            waits.append(told(portal))

    with portal.outbound() as outbound:
        outbound.context.acquire = acquire
        assert outbound.apply(plan, BY).statuses == {"written": 1}
    assert waits == [[("planned", None, "refused", PUT_OFF)]]


def test_what_is_written_in_part_says_that_the_rest_waits(
    portal: PortalTarget, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the moment when the second of two writes is put off."""
    portal.give(*rows(1, branch="Dayton"))
    portal.apply()
    portal.give(*[{**row, "city": "Elsewhere"} for row in rows(1, branch="Toledo")])
    plan = portal.plan()
    monkeypatch.setattr(_http, "FEWEST_HELD", 1)
    at_once: list[Budget] = []
    waits: list[Any] = []

    def acquire(credential: str, budget: Budget, longest_wait: float | None) -> None:
        if longest_wait is not None:
            at_once.append(budget)
            if at_once.count(budget) == 2:  # that of the association
                raise BudgetSpent("spent", seconds=60)
        elif 2 in map(at_once.count, at_once) and len(waits) < 2:
            waits.append(told(portal))

    with portal.outbound() as outbound:
        outbound.context.acquire = acquire
        done = outbound.apply(plan, BY)
    assert waits == [[("sending", PART_WAITS, "sending", PART_WAITS)]] * 2
    assert (done.statuses, [item["reason"] for item in portal.items(done)]) == ({"written": 1}, [None])


def test_what_was_written_in_part_and_then_in_full_waits_no_more(
    portal: PortalTarget, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An attempt that ends while the rest waits leaves the sentence behind; the item keeps a reason of its own."""
    portal.give(*rows(1, branch="Dayton"))
    portal.apply()
    monkeypatch.setattr(_http, "FEWEST_HELD", 1)
    at_once: list[Budget] = []

    def acquire(credential: str, budget: Budget, longest_wait: float | None) -> None:
        if longest_wait is not None:
            at_once.append(budget)
        if 2 in map(at_once.count, at_once):  # that of the association, and all that is read after it
            raise BudgetSpent("spent", seconds=60_000)

    for own, branch in ((None, "Toledo"), ("county is left as it is", "Dayton")):
        portal.give(*[{**row, "city": branch} for row in rows(1, branch=branch)])
        plan = portal.plan()
        with warehouse.session(portal.url) as session:
            session.execute("UPDATE reverse_etl.plan_item SET reason = %s WHERE plan_id = %s", [own, plan.plan_id])
        with portal.outbound() as outbound:
            outbound.context.acquire = acquire
            with pytest.raises(WarehouseError):
                outbound.apply(plan, BY)
        said = PART_WAITS if own is None else f"{own}; {PART_WAITS}"
        assert told(portal) == [("sending", said, "sending", PART_WAITS)]
        at_once.clear()
        done = portal.apply(plan)
        assert (done.statuses, [item["reason"] for item in portal.items(done)]) == ({"written": 1}, [own])


def test_answers_that_are_lost_for_ever_leave_what_the_next_run_goes_on_with(portal: PortalTarget) -> None:
    portal.give(*rows(30))
    plan = portal.plan()
    portal.hubspot.set_fault("status", path="batch/create")
    with pytest.raises(VendorUnavailable):
        portal.apply(plan)
    portal.hubspot.clear_faults()
    assert portal.apply(plan).statuses == {"written": 30}


def test_a_look_that_the_vendor_refuses_is_no_refusal_of_the_write_and_leaves_the_plan_open(
    portal: PortalTarget,
) -> None:
    portal.give(*rows(3))
    plan = portal.plan()
    portal.hubspot.set_fault("status", path="batch/read", status=400)
    with pytest.raises(RequestRefused):
        portal.apply(plan)
    assert (portal.status(plan), portal.now(plan).statuses) == ("applying", {"planned": 3})
    portal.hubspot.clear_faults()
    assert portal.apply(plan).statuses == {"written": 3}


def test_a_plan_of_which_something_is_left_is_not_closed(portal: PortalTarget, monkeypatch: pytest.MonkeyPatch) -> None:
    portal.give(*rows(3))
    plan = portal.plan()
    monkeypatch.setattr(Delivery, "send", lambda *_: {})
    with pytest.raises(TryAgain, match="3 records are left"):
        portal.apply(plan)
    assert portal.status(plan) == "applying"


def test_the_rest_of_a_refused_batch_does_not_stay_open_when_the_vendor_gets_busy(portal: PortalTarget) -> None:
    portal.hubspot.configure(refused_values=["bad"])
    portal.give(*rows(4), *rows(1, 90_051, city="bad"))
    plan = portal.plan()
    portal.hubspot.set_fault("rate_limit", path="batch/create", after=2, retry_after=0)
    with pytest.raises(VendorUnavailable):
        portal.apply(plan)
    assert portal.now(plan).statuses == {"written": 1, "planned": 4}
    portal.hubspot.clear_faults()
    assert portal.apply(plan).statuses == {"written": 4, "refused": 1}


def test_what_was_refused_does_not_stay_open_when_the_rest_cannot_be_read_back(
    portal: PortalTarget, monkeypatch: pytest.MonkeyPatch
) -> None:
    portal.hubspot.configure(refused_values=["bad"])
    portal.give(*rows(4), *rows(1, 90_051, city="bad"))
    plan = portal.plan()
    current = Delivery.current

    def busy(self: Delivery, items: Sequence[Item]) -> Any:
        if items and len(portal.writes()) == 4:  # the first record, a batch, a half, a record
            raise VendorUnavailable("busy")
        return current(self, items)

    with monkeypatch.context() as patch:
        patch.setattr(Delivery, "current", busy)
        with pytest.raises(VendorUnavailable):
            portal.apply(plan)
    assert portal.now(plan).statuses == {"written": 1, "sending": 3, "refused": 1}
    assert portal.apply(plan).statuses == {"written": 4, "refused": 1}


def test_a_plan_that_the_vendor_refuses_ends_with_its_third_record(portal: PortalTarget) -> None:
    portal.hubspot.configure(refused_values=["bad"])
    portal.give(*rows(50, city="bad"))
    with pytest.raises(ActionNeeded, match="refuses too much"):
        portal.apply()
    assert len(portal.writes()) == 3


def test_too_many_changes_need_force(portal: PortalTarget) -> None:
    portal.give(*rows(60))
    plan = portal.plan()
    with pytest.raises(WrongUse, match="--force"):
        portal.apply(plan, force=False)
    assert not portal.writes()
    portal.apply(plan)
    portal.give(*[{**row, "city": "Elsewhere"} for row in rows(20)], *rows(40, first=90_021))
    with pytest.raises(WrongUse, match="changes 60 records, and 20 are allowed of 60 rows"):
        portal.apply(force=False)


def test_the_stop_file_stops_everything(portal: PortalTarget, tmp_path: Path) -> None:
    portal.give(*rows(3))
    plan = portal.plan()
    (tmp_path / "stop-outbound").touch()
    with pytest.raises(WrongUse, match="stop-outbound"):
        portal.apply(plan)
    assert not portal.writes()


def test_an_older_plan_is_not_applied(portal: PortalTarget) -> None:
    portal.give(*rows(3))
    older = portal.plan()
    portal.plan()
    with pytest.raises(WrongUse, match="superseded"):
        portal.apply(older)


def test_two_runs_do_not_write_to_one_target(portal: PortalTarget, database_url: str) -> None:
    portal.give(*rows(3))
    plan = portal.plan()
    with (
        warehouse.session(database_url) as session,
        warehouse.try_lock(session, "warehouse:outbound:zips"),
        pytest.raises(SyncRunning),
    ):
        portal.apply(plan)


def test_a_hashed_value_stays_here(portal: PortalTarget) -> None:
    hashed = f"hmac:{'0' * 32}"
    assert HASH.fullmatch(hashed)
    portal.give(*rows(1, county=hashed))
    portal.apply()
    assert "county" not in portal.having("90001")


def test_a_portal_without_the_property_is_not_written_to(portal: PortalTarget) -> None:
    portal.hubspot.archive_property("zipcodes", "genius_phone")
    portal.give(*rows(1))
    with pytest.raises(ActionNeeded, match=r"has no property genius_phone.*outbound prepare zips --yes"):
        portal.plan()
    assert portal.prepare() == ["the property genius_phone of custom:zipcode"]
    assert portal.apply().statuses == {"written": 1}

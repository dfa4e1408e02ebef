"""Undo restores what a plan changed, and nothing that anybody else changed since."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from warehouse_pipelines import warehouse
from warehouse_pipelines.errors import RequestRefused, SyncRunning, WrongUse
from warehouse_pipelines.outbound import ledger
from warehouse_pipelines.outbound.ledger import Plan
from warehouse_pipelines.outbound.undoing import Verdict
from warehouse_pipelines.outbound.values import linked
from warehouse_pipelines.outbound.withheld import Withheld
from warehouse_pipelines.simulators.hubspot.associations import USER_TYPES
from warehouse_pipelines_tests.harness.examples import examples
from warehouse_pipelines_tests.harness.fault_points import Killed
from warehouse_pipelines_tests.harness.portal_target import BY, PortalTarget, portal_target, rows

KEYS = [str(90_001 + number) for number in range(12)]
PEOPLES = "peoples_note"
"""A property that is none of the target's."""


@pytest.fixture
def portal(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[PortalTarget]:
    with portal_target(database_url, monkeypatch) as made:
        made.hubspot.define_property("zipcodes", PEOPLES)
        yield made


def verdicts(portal: PortalTarget, plan: Plan) -> list[Verdict]:
    with portal.outbound() as outbound:
        return outbound.verify(plan)


def test_an_undone_plan_leaves_the_portal_as_it_was(portal: PortalTarget) -> None:
    portal.give(*rows(120))
    portal.apply()
    before = portal.state()
    portal.give(*[{**row, "city": "Elsewhere", "genius_phone": "6145550123"} for row in rows(150)])
    plan = portal.apply()
    assert portal.state() != before
    assert all(verdict.holds for verdict in verdicts(portal, plan))
    undone = portal.undo(plan)
    assert undone.statuses == {"written": 150}
    assert undone.actions == {"update": 120, "archive": 30}
    assert portal.state() == before


def test_what_somebody_changed_since_stays_and_is_told(portal: PortalTarget) -> None:
    portal.give(*rows(2))
    portal.apply()
    portal.give(*[{**row, "city": "Elsewhere", "county": "Lake"} for row in rows(2)])
    plan = portal.apply()
    theirs = portal.having("90001")["hs_object_id"]
    portal.hubspot.edit("zipcodes", theirs, {"city": "by hand"})
    assert [verdict.changed for verdict in verdicts(portal, plan)] == [("city",), ()]
    undone = portal.undo(plan)
    one, other = portal.having("90001"), portal.having("90002")
    assert (one["city"], one.get("county")) == ("by hand", None)
    assert (other["city"], other.get("county")) == ("City 1", None)
    reasons = [item["reason"] for item in portal.items(undone)]
    assert "changed at the vendor since, and left as it is: city" in reasons


@pytest.mark.parametrize("city", ["City 0", "Elsewhere"])
def test_an_association_that_was_half_written_does_not_hold(portal: PortalTarget, city: str) -> None:
    """Also where the vendor's answer to the record's properties says that nobody has changed it since."""
    portal.give(*rows(1, branch="Dayton"))
    portal.apply()
    portal.give(*[{**row, "branch": "Toledo", "city": city} for row in rows(1)])
    portal.hubspot.set_fault("lost_inputs", path="associations/2-37000101/2-37000002/batch/labels/archive")
    plan = portal.apply()
    portal.hubspot.clear_faults()
    assert plan.statuses == {"partial": 1}
    [verdict] = verdicts(portal, plan)
    assert (verdict.holds, verdict.changed, verdict.lacking) == (False, (), ("division_link",))
    assert portal.apply().statuses == {"written": 1}
    assert verdicts(portal, plan)[0].holds, "a later plan wrote the rest"


def test_an_association_without_our_label_is_none_of_ours(portal: PortalTarget) -> None:
    [row] = rows(1, branch="Dayton")
    portal.give(row)
    portal.apply()
    [(_, label, _), _] = portal.hubspot.portal.associations.make_type("zipcodes", "divisions", "Backup")
    record = portal.having("90001")
    portal.hubspot.dissociate("zipcodes", record["hs_object_id"], "divisions", record["divisions"])
    portal.hubspot.associate("zipcodes", record["hs_object_id"], "divisions", record["divisions"], type_id=label)
    plan = portal.plan()
    assert [one["fields"] for one in portal.items(plan)] == [
        {"division_link": {"old": None, "new": record["divisions"]}}
    ]
    done = portal.apply(plan)
    assert (done.statuses, verdicts(portal, done)[0].holds) == ({"written": 1}, True)
    assert labels(portal) == {None, "Backup"}
    portal.hubspot.dissociate("zipcodes", record["hs_object_id"], "divisions", record["divisions"])
    portal.hubspot.associate("zipcodes", record["hs_object_id"], "divisions", record["divisions"], type_id=label)
    assert not verdicts(portal, done)[0].holds


def labels(portal: PortalTarget) -> set[str | None]:
    """The labels of the associations of the first zip code with divisions."""
    store = portal.hubspot.portal.named("zipcodes")
    number = store.number_of(portal.having("90001")["hs_object_id"])
    assert number is not None
    edges = portal.hubspot.portal.associations.edges("zipcodes", "divisions", number)
    return {label for _, types in edges for _, _, label in types}


def labelled_by_people(portal: PortalTarget) -> Plan:
    """Let the portal's zip code move from Dayton to Toledo, and people label both; return the plan of the second."""
    [(_, label, _), _] = portal.hubspot.portal.associations.make_type("zipcodes", "divisions", "Backup")
    plans = []
    for branch in ("Dayton", "Toledo"):
        portal.give(*rows(1, branch=branch))
        plans.append(portal.apply())
        record = portal.having("90001")
        for division in record["divisions"].split(";"):
            portal.hubspot.associate("zipcodes", record["hs_object_id"], "divisions", division, type_id=label)
    return plans[-1]


def test_a_label_of_people_stays_where_ours_is_taken_away(
    portal: PortalTarget, monkeypatch: pytest.MonkeyPatch
) -> None:
    for ends in (("zipcodes", "divisions"), ("divisions", "zipcodes")):
        monkeypatch.delitem(USER_TYPES, ends)
    assert portal.prepare() == ["the association from custom:zipcode to custom:division"]
    plan = labelled_by_people(portal)
    assert (plan.statuses, labels(portal)) == ({"written": 1}, {"Division link", "Backup"})
    with portal.outbound() as outbound:
        verdict = outbound.verify(plan)[0]
        assert verdict.record is not None
        assert len(linked(verdict.record.values["division_link"])) == 1
    assert portal.undo(plan).statuses == {"written": 1}
    assert len(portal.having("90001")["divisions"].split(";")) == 2


def test_an_association_without_a_label_stays_where_people_labelled_it(portal: PortalTarget) -> None:
    """HubSpot takes all labels away with it. It is neither planned nor undone, and the undo says so."""
    plan = labelled_by_people(portal)
    divisions = portal.having("90001")["divisions"]
    assert (plan.statuses, len(divisions.split(";"))) == ({"written": 1}, 2)
    assert portal.apply().unchanged == 1
    portal.give(*rows(1, branch="Dayton"))
    assert (portal.apply().kept, portal.having("90001")["divisions"]) == (1, divisions)
    undone = portal.undo(plan)
    assert [item["reason"] for item in portal.items(undone)] == [
        "changed at the vendor since, and left as it is: division_link"
    ]
    assert portal.having("90001")["divisions"] == divisions
    assert "Backup" in labels(portal)


def test_an_association_that_people_label_while_a_plan_is_applied_stays(
    portal: PortalTarget, monkeypatch: pytest.MonkeyPatch
) -> None:
    portal.give(*rows(1, branch="Dayton"))
    portal.apply()
    [(_, label, _), _] = portal.hubspot.portal.associations.make_type("zipcodes", "divisions", "Backup")
    record = portal.having("90001")
    portal.give(*rows(1, branch="Toledo"))
    plan = portal.plan()
    portal.hubspot.associate("zipcodes", record["hs_object_id"], "divisions", record["divisions"], type_id=label)
    assert portal.apply(plan).statuses == {"partial": 1}
    assert portal.items(plan)[0]["reason"] == (
        f"others labelled the association, and their label would go with it: {record['divisions']}"
    )
    assert labels(portal) == {None, "Backup"}
    take_label(portal, record["divisions"])
    portal.give(*rows(1, branch="Columbus"))
    assert (portal.apply().statuses, len(linked(portal.having("90001")["divisions"]))) == ({"written": 1}, 1)


def test_an_association_that_stayed_for_a_label_goes_once_the_label_is_gone(portal: PortalTarget) -> None:
    change = portal.items(labelled_by_people(portal))[0]["fields"]["division_link"]
    dayton, [toledo] = change["old"], linked(change["new"]) - {change["old"]}
    assert (portal.apply().kept, linked(portal.having("90001")["divisions"])) == (1, {dayton, toledo})
    take_label(portal, dayton)
    assert (portal.apply().statuses, portal.having("90001")["divisions"]) == ({"written": 1}, toledo)
    portal.give(*rows(1, branch="Columbus"))
    assert (portal.apply().statuses, len(linked(portal.having("90001")["divisions"]))) == ({"written": 1}, 2)
    take_label(portal, toledo)
    assert portal.apply().statuses == {"written": 1}
    assert len(linked(portal.having("90001")["divisions"]) - {dayton, toledo}) == 1
    assert portal.apply().statuses == {}


def take_label(portal: PortalTarget, division: str) -> None:
    """Let people take their label from the association of the first zip code with a division; ours stays."""
    store, there = portal.hubspot.portal.named("zipcodes"), portal.hubspot.portal.named("divisions")
    one, other = store.number_of(portal.having("90001")["hs_object_id"]), there.number_of(division)
    assert one is not None
    assert other is not None
    associations = portal.hubspot.portal.associations
    [kind] = [kind[:2] for kind in associations.types("zipcodes", "divisions") if kind[2]]
    associations.unlabel("zipcodes", one, "divisions", other, kind)


@pytest.mark.parametrize("name", ["city", "county", PEOPLES])
def test_a_record_that_somebody_worked_on_is_not_archived(portal: PortalTarget, name: str) -> None:
    portal.give(*rows(2))
    plan = portal.apply()
    portal.hubspot.edit("zipcodes", portal.having("90001")["hs_object_id"], {name: "by hand"})
    undone = portal.undo(plan)
    assert undone.statuses == {"written": 1, "refused": 1}
    assert portal.having("90001")[name] == "by hand"


def test_a_plan_is_undone_once(portal: PortalTarget) -> None:
    portal.give(*rows(2))
    plan = portal.apply()
    undone = portal.undo(plan)
    for each in (plan, undone):
        with pytest.raises(WrongUse):
            portal.undo(each)


def test_a_plan_is_not_gone_on_with_once_its_undo_was_planned(portal: PortalTarget) -> None:
    """Else what is written after the undo was made would be told to be undone, and stay."""
    portal.give(*rows(2))
    plan = portal.plan()
    portal.hubspot.edit("zipcodes", portal.hubspot.create("zipcodes", {"genius_zip": "90002"}), {"city": "theirs"})
    with portal.outbound() as outbound:
        partly = outbound.apply(plan, BY)
        assert partly.statuses == {"written": 1, "moved": 1}
        undo = outbound.plan_undo(partly, BY)
        with pytest.raises(WrongUse, match=f"followed by plan {undo.plan_id}"):
            outbound.apply(partly, BY)
        assert outbound.apply(undo, BY).statuses == {"written": 1}


def test_what_the_vendor_did_not_take_back_can_be_undone_again(portal: PortalTarget) -> None:
    portal.give(*rows(4))
    portal.apply()
    before = portal.state()
    portal.give(*[{**row, "city": "Elsewhere"} for row in rows(4)])
    plan = portal.apply()
    portal.hubspot.configure(refused_values=["City 1"])
    assert portal.undo(plan).statuses == {"written": 3, "refused": 1}
    portal.hubspot.configure(refused_values=[])
    again = portal.undo(plan)
    assert (again.statuses, again.unchanged) == ({"written": 1}, 3)
    assert portal.state() == before
    with pytest.raises(WrongUse, match="undone already"):
        portal.undo(plan)


def test_an_undo_that_could_not_look_has_undone_nothing(portal: PortalTarget) -> None:
    portal.give(*rows(3))
    plan = portal.apply()
    with portal.outbound() as outbound:
        undo = outbound.plan_undo(plan, BY)
        portal.hubspot.set_fault("status", path="/batch/read", status=400)
        with pytest.raises(RequestRefused):
            outbound.apply(undo, BY, force=True)
        assert (portal.status(undo), portal.status(plan)) == ("applying", "applied")
        portal.hubspot.clear_faults()
        assert outbound.apply(undo, BY, force=True).statuses == {"written": 3}
    assert portal.status(plan) == "undone"


def test_what_somebody_took_back_by_hand_is_not_told_as_changed(portal: PortalTarget) -> None:
    portal.give(*rows(2))
    portal.apply()
    portal.give(*[{**row, "city": "Elsewhere"} for row in rows(2)])
    plan = portal.apply()
    portal.hubspot.edit("zipcodes", portal.having("90001")["hs_object_id"], {"city": "City 0"})
    undone = portal.undo(plan)
    assert (undone.statuses, undone.unchanged) == ({"written": 1}, 1)


def without(portal: PortalTarget, name: str) -> None:
    """Take a field out of the target, as a newer version may."""
    fields = tuple(field for field in portal.target.fields if field.name != name)
    portal.target = replace(portal.target, fields=fields)


def test_a_plan_of_a_field_that_the_target_has_no_more_is_refused(portal: PortalTarget) -> None:
    portal.give(*rows(1))
    plan = portal.plan()
    without(portal, "city")
    with pytest.raises(WrongUse, match="writes city, which zips has no more"):
        portal.apply(plan)
    assert portal.apply().statuses == {"written": 1}


def changed_city(portal: PortalTarget, sends: Callable[[Plan], Plan]) -> Plan:
    """Write a city into a record, change it by a plan that ``sends`` sends, and take the field out of the target."""
    portal.give(*rows(1))
    portal.apply()
    portal.give(*[{**row, "city": "Elsewhere"} for row in rows(1)])
    plan = sends(portal.plan())
    without(portal, "city")
    return plan


def killed(portal: PortalTarget, plan: Plan) -> Plan:
    """Apply a plan until its records were sent, and not read back."""
    with patch.object(ledger, "settle", side_effect=Killed), pytest.raises(Killed):
        portal.apply(plan)
    return plan


@pytest.mark.parametrize("begun", [False, True])
def test_an_undo_of_a_field_that_the_target_has_no_more_is_refused_and_made_anew(
    portal: PortalTarget, begun: bool
) -> None:
    undos: list[Plan] = []

    def undone(made: Plan) -> Plan:
        plan = portal.apply(made)
        with portal.outbound() as outbound:
            undos.append(outbound.plan_undo(plan, BY))
        if begun:
            killed(portal, undos[0])
        return plan

    plan = changed_city(portal, undone)
    with pytest.raises(
        WrongUse, match=f"writes city, which zips has no more.*`warehouse outbound undo {plan.plan_id}`"
    ):
        portal.apply(undos[0])
    again = portal.undo(plan)
    assert again.plan_id > undos[0].plan_id
    assert "no field of zips any more, and left as it is: city" in portal.items(again)[0]["reason"]


def test_a_killed_plan_of_a_field_that_the_target_has_no_more_is_read_back_and_can_be_undone(
    portal: PortalTarget,
) -> None:
    plan = changed_city(portal, lambda made: killed(portal, made))
    with pytest.raises(WrongUse, match=r"writes city, which zips has no more.*`warehouse outbound plan zips`"):
        portal.apply(plan)
    assert (portal.status(plan), portal.items(plan)[0]["status"]) == ("partial", "partial")
    undone = portal.undo(plan)
    assert "no field of zips any more, and left as it is: city" in portal.items(undone)[0]["reason"]


@pytest.mark.parametrize("action", ["create", "update"])
def test_a_field_that_the_target_has_no_more_is_left_and_told(portal: PortalTarget, action: str) -> None:
    portal.give(*rows(1, county="Lake"))
    if action == "update":
        portal.apply()
        portal.give(*[{**row, "city": "Elsewhere", "state": "OH", "county": "Erie"} for row in rows(1)])
    plan = portal.apply()
    without(portal, "city")
    undone = portal.undo(plan)
    found = portal.having("90001")
    assert "no field of zips any more, and left as it is: city" in portal.items(undone)[0]["reason"]
    assert (found["city"], found["county"]) == (("Elsewhere", "Lake") if action == "update" else ("City 0", "Lake"))


def test_a_record_that_somebody_fills_after_the_undo_was_planned_is_not_archived(portal: PortalTarget) -> None:
    portal.give(*rows(2))
    plan = portal.apply()
    with portal.outbound() as outbound:
        undo = outbound.plan_undo(plan, BY)
        portal.hubspot.edit("zipcodes", portal.having("90001")["hs_object_id"], {PEOPLES: "by hand"})
        assert outbound.apply(undo, BY).statuses == {"written": 1, "moved": 1}
    assert portal.having("90001")[PEOPLES] == "by hand"


def test_what_moved_after_the_undo_was_planned_can_be_undone_again(portal: PortalTarget) -> None:
    """The second undo takes back what the person left as we wrote it, and finishes the plan."""
    portal.give(*rows(2))
    portal.apply()
    portal.give(*[{**row, "city": "Elsewhere", "county": "Lake"} for row in rows(2)])
    plan = portal.apply()
    with portal.outbound() as outbound:
        undo = outbound.plan_undo(plan, BY)
        portal.hubspot.edit("zipcodes", portal.having("90001")["hs_object_id"], {"city": "by hand"})
        assert outbound.apply(undo, BY).statuses == {"written": 1, "moved": 1}
    assert (portal.status(plan), portal.having("90001")["county"]) == ("applied", "Lake")
    assert portal.undo(plan).statuses == {"written": 1}
    assert (portal.status(plan), portal.having("90001").get("county")) == ("undone", None)
    assert portal.having("90001")["city"] == "by hand"


def test_what_an_undo_withheld_can_be_undone_again(portal: PortalTarget) -> None:
    portal.give(*rows(1))
    portal.apply()
    portal.give(*[{**row, "city": "Elsewhere"} for row in rows(1)])
    plan = portal.apply()
    with patch.object(Withheld, "reason", return_value="must stay"):
        assert portal.undo(plan).statuses == {"withheld": 1}
    assert portal.status(plan) == "applied"
    portal.undo(plan)
    assert (portal.status(plan), portal.having("90001")["city"]) == ("undone", "City 0")


def test_nothing_is_undone_while_another_run_writes(portal: PortalTarget, database_url: str) -> None:
    portal.give(*rows(1))
    plan = portal.apply()
    with (
        warehouse.session(database_url) as session,
        warehouse.try_lock(session, "warehouse:outbound:zips"),
        portal.outbound() as outbound,
        pytest.raises(SyncRunning),
    ):
        outbound.plan_undo(plan, BY)


def test_what_was_undone_can_be_planned_again(portal: PortalTarget) -> None:
    portal.give(*rows(2, county="Lake"))
    portal.undo(portal.apply())
    assert portal.apply().actions == {"create": 2}
    assert portal.having("90001")["county"] == "Lake"


VALUES = st.sampled_from([None, "", "Lake", "Erie", "x" * 300, "ß — 'quoted'", "614 555 0123"])
NUMBERS = st.sampled_from([None, "0", "7", "7.50"])
ROW = st.fixed_dictionaries(
    {
        "key": st.sampled_from(KEYS),
        "zipcode": VALUES,
        "city": VALUES,
        "county": VALUES,
        "state": VALUES,
        "genius_phone": st.sampled_from([None, "+16145550123", "(614) 555-0123"]),
        "genius_score": NUMBERS,
        "genius_served": st.sampled_from([None, "true", "false"]),
        "branch": st.sampled_from([None, "Dayton", "Toledo"]),
    }
)
ROWS = st.lists(ROW, min_size=1, max_size=8, unique_by=lambda row: row["key"])
EDITS = st.lists(
    st.tuples(st.integers(0, 30), st.sampled_from(["city", "county", "state", PEOPLES, "divisions"]), VALUES),
    max_size=6,
)
FORMS = st.sampled_from(["sent", "national"])
ANY = settings(
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    max_examples=examples(10, of=25),
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],
)


def edit(portal: PortalTarget, edits: list[tuple[int, str, str | None]]) -> dict[tuple[str, str], str | None]:
    """Change fields of some of the records as people do; return what they wrote last, by record and field."""
    ids = list(portal.state())
    done: dict[tuple[str, str], str | None] = {}
    columbus = portal.hubspot.ids("divisions")[2]
    for place, name, value in edits if ids else ():
        if name == "divisions":
            portal.hubspot.associate("zipcodes", ids[place % len(ids)], name, columbus)
            continue
        portal.hubspot.edit("zipcodes", ids[place % len(ids)], {name: value or None})
        done[ids[place % len(ids)], name] = value or None
    return done


@ANY
@given(first=ROWS, second=ROWS, before=EDITS, form=FORMS)
def test_any_plan_that_is_undone_leaves_the_portal_as_it_was(
    portal: PortalTarget, first: list[Any], second: list[Any], before: list[Any], form: str
) -> None:
    portal.hubspot.configure(phones_as=form)
    portal.give(*first)
    portal.apply()
    edit(portal, before)
    state = portal.state()
    portal.give(*second)
    plan = portal.apply()
    if set(plan.statuses) & {"written", "partial"}:
        portal.undo(plan)
    assert portal.state() == state


@ANY
@given(first=ROWS, second=ROWS, between=EDITS, form=FORMS)
def test_no_edit_between_a_plan_and_its_undo_is_lost(
    portal: PortalTarget, first: list[Any], second: list[Any], between: list[Any], form: str
) -> None:
    portal.hubspot.configure(phones_as=form)
    portal.give(*first)
    portal.apply()
    before = portal.state()
    portal.give(*second)
    plan = portal.apply()
    after = portal.state()
    edits = edit(portal, between)
    edited = portal.state()
    if set(plan.statuses) & {"written", "partial"}:
        portal.undo(plan)
    state = portal.state()
    for (object_id, name), value in edits.items():
        assert value == after[object_id].get(name) or state[object_id].get(name) == value
    added = {
        object_id for object_id, one in after.items() if one.get("divisions") != edited[object_id].get("divisions")
    }
    assert all(portal.hubspot.ids("divisions")[2] in state[object_id]["divisions"] for object_id in added)
    touched = {object_id for object_id, _ in edits} | added
    for object_id in before.keys() - touched:
        assert state[object_id] == before[object_id]
    assert state.keys() - before.keys() <= touched


@pytest.mark.slow("many records")
@pytest.mark.parametrize("seed", range(3))
def test_a_plan_of_a_thousand_records_is_undone(portal: PortalTarget, seed: int) -> None:
    portal.give(*rows(700, first=90_001 + seed))
    portal.apply()
    before = portal.state()
    portal.give(*[{**row, "city": f"Elsewhere {seed}"} for row in rows(1_000, first=90_001 + seed)])
    plan = portal.apply()
    assert portal.undo(plan).statuses == {"written": 1_000}
    assert portal.state() == before

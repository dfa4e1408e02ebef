"""The targets that there are: their queries in a migrated warehouse, and what they make of a simulated vendor."""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest

from warehouse_pipelines.errors import (
    ActionNeeded,
    PermissionMissing,
    RequestRefused,
    TryAgain,
    WarehouseError,
    WrongUse,
)
from warehouse_pipelines.loading.options import Options
from warehouse_pipelines.loading.sync import sync
from warehouse_pipelines.model.reading import ReadContext
from warehouse_pipelines.outbound import applying, ledger, run, targets
from warehouse_pipelines.outbound.callrail import CallRailPartner
from warehouse_pipelines.outbound.delivery import Delivery
from warehouse_pipelines.outbound.ledger import Plan
from warehouse_pipelines.outbound.partner import Write
from warehouse_pipelines.outbound.target import Target
from warehouse_pipelines.simulators.callrail.simulator import CallRail
from warehouse_pipelines.simulators.hubspot.simulator import HubSpot
from warehouse_pipelines.simulators.server import Simulators, start
from warehouse_pipelines.unified.identity import resolve
from warehouse_pipelines_tests.harness.feed_database import ORGANIZATION, FeedDatabase
from warehouse_pipelines_tests.harness.source_harness import BY_TABLE


class Business:
    """A warehouse with rows of Genius and HubSpot, and the vendors that are written to."""

    def __init__(self, url: str, simulators: Simulators) -> None:
        self.url = url
        self.hubspot, self.callrail = simulators.of(HubSpot), simulators.of(CallRail)
        self.database = FeedDatabase(url)

    def apply(self, target: Target) -> Plan:
        with run.connected(self.url, target) as at_work:
            at_work.partner.prepare()
            return at_work.apply(at_work.plan("a test"), "a test", force=True, allow_archive=10)

    def undo(self, plan: Plan) -> Plan:
        with run.connected(self.url, targets.BY_NAME[plan.target]) as at_work:
            return at_work.apply(at_work.plan_undo(plan, "a test"), "a test")

    def record(self, name: str, **wanted: str) -> dict[str, Any]:
        """The one living record that has these values."""
        store = self.hubspot.portal.named(name)
        shown = [self.hubspot.record(name, store.id_of(number))["properties"] for number in store.live_after(-1)]
        found = [one for one in shown if all(one.get(field) == value for field, value in wanted.items())]
        assert len(found) == 1, found
        result: dict[str, Any] = found[0]
        return result

    def genius(self) -> None:
        source = self.database.source
        source("genius_division", id=901, label="Toledo", abbreviation="TOL")
        source("genius_division", id=902, label="Akron", abbreviation="AKR", is_inactive=True)
        for number, division in ((1, 901), (2, 901), (3, 902)):
            source(
                "genius_user", user_id=5000 + number, firstname="Ana", lastname=f"Ray{number}",
                email=f"Ana{number}@Work.example", division_id=division, is_inactive=number == 3,
            )  # fmt: skip

    def contact(self, place: int, **values: Any) -> str:
        """A contact of the portal, with its row and record here."""
        found: str = self.hubspot.ids("contacts")[place]
        shown = self.hubspot.record("contacts", found)
        self.database.source("hubspot_contact", id=int(found), raw_data=shown, **values)
        return found

    def call(self, phone: str | None, place: int = -1, start_time: str = "2026-11-01T00:00:00Z") -> str:
        """A call of the account, with its row here."""
        found: str = self.callrail.ids("calls")[place]
        self.database.source(
            "callrail_call", id=found, customer_phone_number_e164=phone, start_time=start_time,
            tags=tags(self, found), raw_data={"tags": tags(self, found)},
        )  # fmt: skip
        return found

    def list_number(self, phone: str) -> None:
        self.database.session.execute(
            "INSERT INTO crm.dnc_list (organization_id, phone, reason, channels)"
            " VALUES (%s, %s, 'temporary', '{call}')",
            [ORGANIZATION, phone],
        )


@contextmanager
def business(url: str, monkeypatch: pytest.MonkeyPatch, **settings: Any) -> Iterator[Business]:
    with start(["hubspot", "callrail"], contacts=20, **settings) as simulators:
        for name, value in {**simulators.environment(), "WAREHOUSE_RETRY_SECONDS": "0.001"}.items():
            monkeypatch.setenv(name, value)
        made = Business(url, simulators)
        try:
            yield made
        finally:
            made.database.close()


@pytest.fixture
def works(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Business]:
    with business(database_url, monkeypatch) as made:
        yield made


@pytest.mark.parametrize("target", targets.TARGETS, ids=lambda target: str(target.name))
def test_the_query_of_a_target_has_its_columns(target: Target, shared_url: str) -> None:
    database = FeedDatabase(shared_url)
    try:
        asked = database.session.execute(target.source.encode(), {"organization": ORGANIZATION})
        columns = {column.name for column in asked.description or ()}
    finally:
        database.close()
    wanted = {"key", *(field.source for field in target.fields)}
    assert columns >= wanted | (set() if target.lists_all else {"object_id", "mirrored"})


def test_users_and_divisions_are_made_and_belong_together(works: Business) -> None:
    works.genius()
    assert works.apply(targets.DIVISIONS).actions == {"create": 1, "update": 1}  # Toledo is there, made by people
    assert works.apply(targets.GENIUS_USERS).statuses == {"written": 3}
    toledo = works.record("divisions", genius_division_id="901")
    assert (toledo["division_name"], toledo["status"]) == ("Toledo", "active")
    assert works.record("divisions", genius_division_id="902")["status"] == "inactive"
    user = works.record("geniususers", genius_user_id="5001")
    assert (user["name"], user["email"], user["is_active"]) == ("Ana Ray1", "ana1@work.example", "true")
    assert works.record("geniususers", genius_user_id="5003")["is_active"] == "false"
    pairs = works.hubspot.pairs("geniususers", "divisions")
    assert [user["hs_object_id"], toledo["hs_object_id"]] in pairs
    works.hubspot.reset_counters()
    for target in (targets.DIVISIONS, targets.GENIUS_USERS):
        assert works.apply(target).statuses == {}


def test_a_user_whom_people_made_is_found_by_the_address(works: Business) -> None:
    works.genius()
    theirs = works.hubspot.create("geniususers", {"email": "ANA1@work.example", "truck_number": "T9"})
    works.apply(targets.DIVISIONS)
    assert works.apply(targets.GENIUS_USERS).actions == {"create": 2, "update": 1}
    found = works.record("geniususers", genius_user_id="5001")
    assert (found["hs_object_id"], found["truck_number"]) == (theirs, "T9")


def test_a_user_who_moves_belongs_to_the_new_division_and_to_what_people_added(works: Business) -> None:
    works.genius()
    works.apply(targets.DIVISIONS)
    works.apply(targets.GENIUS_USERS)
    user = works.record("geniususers", genius_user_id="5001")["hs_object_id"]
    added = works.hubspot.ids("divisions")[0]
    works.hubspot.associate("geniususers", user, "divisions", added)
    works.database.source("genius_user", user_id=5001, division_id=902)
    before = sorted(works.hubspot.pairs("geniususers", "divisions"))
    plan = works.apply(targets.GENIUS_USERS)
    akron = works.record("divisions", genius_division_id="902")["hs_object_id"]
    mine = sorted(other for one, other in works.hubspot.pairs("geniususers", "divisions") if one == user)
    assert mine == sorted({added, akron})
    works.undo(plan)
    assert sorted(works.hubspot.pairs("geniususers", "divisions")) == before


def test_prepare_makes_the_object_in_a_portal_that_has_none(works: Business) -> None:
    for name in ("geniususers", "divisions"):
        works.hubspot.forget_object(name)
    works.genius()
    with run.connected(works.url, targets.DIVISIONS) as at_work:
        assert at_work.partner.lacking() == ["HubSpot has no object Division"]
        assert at_work.partner.prepare() == ["the object Division"]
        assert at_work.partner.lacking() == []
    assert works.apply(targets.DIVISIONS).statuses == {"written": 2}
    assert works.apply(targets.GENIUS_USERS).statuses == {"written": 3}
    assert len(works.hubspot.pairs("geniususers", "divisions")) == 3


def test_a_zip_code_belongs_to_the_division_of_most_of_its_people_and_goes_with_them(works: Business) -> None:
    works.genius()
    works.database.source("genius_division", id=903, label="Lima")
    for number, division in enumerate((901, 901, 903), 1):
        works.database.source("genius_lead", lead_id=number, zipcode="43604-1234", division_id=division)
    works.database.source("genius_lead", lead_id=9, zipcode="45801", division_id=903)
    works.apply(targets.DIVISIONS)
    assert works.apply(targets.ZIP_CODES).statuses == {"written": 2}
    assert works.record("zipcodes", genius_zip="43604")["division"] == "Toledo"
    works.database.session.execute("UPDATE genius_lead SET archived = true WHERE lead_id = 9")
    done = works.apply(targets.ZIP_CODES)
    assert (done.actions, done.statuses) == ({"archive": 1}, {"written": 1})
    assert works.apply(targets.ZIP_CODES).statuses == {}


def test_contacts_get_their_person_and_its_score(works: Business) -> None:
    contact = works.contact(0)
    person = works.database.person(("hubspot_contact", contact))
    works.database.session.execute(
        "INSERT INTO crm.leads (organization_id, golden_id, first_name, lead_score) VALUES (%s, %s, 'Ana', 57)",
        [ORGANIZATION, person],
    )
    plan = works.apply(targets.PEOPLE)
    assert plan.statuses == {"written": 1}
    found = works.hubspot.record("contacts", contact)["properties"]
    assert (found["genius_golden_id"], found["genius_lead_score"]) == (str(person), "57")
    assert works.apply(targets.PEOPLE).unchanged == 1
    works.hubspot.reset_counters()
    works.contact(0)  # the next delta brings it back
    with run.connected(works.url, targets.PEOPLE) as at_work:
        assert at_work.plan("a test").unchanged == 1
    assert not [one for one in works.hubspot.requests()["log"] if "batch" in one["path"]]
    works.undo(plan)
    assert works.hubspot.record("contacts", contact)["properties"]["genius_golden_id"] is None


def test_what_is_written_to_contacts_is_declared_as_no_edit() -> None:
    of_contacts = [one for one in targets.TARGETS if one.object == "contacts"]
    assert len(of_contacts) >= 2
    for target in of_contacts:
        assert {field.name for field in target.fields} <= {*BY_TABLE[target.subject][1].written_back}


def test_what_we_write_to_a_contact_is_no_news_of_the_customer_and_an_edit_beside_it_is(works: Business) -> None:
    """A lead that is lost stays so, an address is as old as it is, and what a user entered stays."""
    feed, contact = works.database, works.hubspot.ids("contacts")[0]
    works.hubspot.define_property("contacts", "hs_lead_status", "string")
    works.hubspot.edit("contacts", contact, {
        "firstname": "Ada", "lastname": "Lovely", "email": "ada@home.example", "phone": "(216) 223-0101",
        "address": "1 Old Road", "city": "Toledo", "state": "OH", "zip": "43604", "hs_lead_status": "CONNECTED",
        "lifecyclestage": "lead",
    })  # fmt: skip

    def load(**flags: Any) -> dict[str, Any]:
        sync(*BY_TABLE["hubspot_contact"], Options(**flags), url=works.url)
        resolve.run(feed.session)
        feed.feed()
        return feed.one(
            "SELECT l.id, l.status, l.postal_code, p.zip, c.lastmodifieddate AS written_at,"
            " coalesce(c.source_edited_at, c.source_updated_at) AS edited_at"
            " FROM crm.leads AS l JOIN identity.person AS p ON p.person_id = l.golden_id, hubspot_contact AS c"
            " WHERE l.email = 'ada@home.example' AND c.id = %s", [contact],
        )  # fmt: skip

    edited = load()
    now = feed.one("SELECT clock_timestamp() AS at")["at"]
    feed.source(
        "genius_lead", lead_id=77, firstname="Ada", lastname="Lovely", email="ada@home.example", created="2026-01-01",
        address1="9 New Street", city="Akron", state="OH", zipcode="44301", modified=now, dead_on=now,
    )  # fmt: skip
    lost = load()
    assert (lost["status"], lost["postal_code"], lost["zip"]) == ("lost", "44301", "44301")
    feed.edit(lost["id"], postal_code="44999")
    for score in (11, 12):
        feed.session.execute("UPDATE crm.leads SET lead_score = %s WHERE id = %s", [score, lost["id"]])
        assert works.apply(targets.PEOPLE).statuses["written"] > 0
        for flags in ({}, {"full": True, "force": True}):
            found = load(**flags)
            assert (found["status"], found["postal_code"], found["zip"]) == ("lost", "44999", "44301")
            assert found["edited_at"] == edited["edited_at"] < found["written_at"]
    # What a person edits just before or after we write is theirs.
    works.hubspot.edit("contacts", contact, {"zip": "43605"})
    feed.session.execute("UPDATE crm.leads SET lead_score = 13 WHERE id = %s", [lost["id"]])
    works.apply(targets.PEOPLE)
    found = load()
    assert (found["status"], found["postal_code"], found["zip"]) == ("contacted", "43605", "43605")
    assert found["edited_at"] == found["written_at"]


@pytest.mark.parametrize("ending", [
    "expires_at = now() - interval '1 day', created_at = now() - interval '2 days'",
    "ended_at = now(), ended_by = gen_random_uuid(), end_reason = 'a test'",
])  # fmt: skip
def test_who_must_not_be_called_is_told_and_a_hand_set_mark_stays(works: Business, ending: str) -> None:
    listed, other = works.contact(0), works.contact(1)
    for contact, phone in ((listed, "+16145550123"), (other, "+16145550124")):
        works.database.record(("hubspot_contact", contact), None, phones=(phone,))
    works.list_number("+16145550123")
    works.apply(targets.DO_NOT_CALL)
    assert works.hubspot.record("contacts", listed)["properties"]["genius_do_not_call"] == "true"
    works.hubspot.edit("contacts", other, {"genius_do_not_call": "true"})
    works.contact(0), works.contact(1)
    works.database.session.execute(f"UPDATE crm.dnc_list SET {ending}")
    done = works.apply(targets.DO_NOT_CALL)
    assert done.statuses == {"written": 1}
    assert works.hubspot.record("contacts", listed)["properties"]["genius_do_not_call"] == "false"
    assert works.hubspot.record("contacts", other)["properties"]["genius_do_not_call"] == "true"


def test_our_own_marks_keep_no_entry_alive_and_a_mark_set_by_hand_is_an_opt_out(works: Business) -> None:
    ours, theirs = works.contact(0), works.contact(1)
    feed = works.database
    for contact, phone, name in ((ours, "+16145550123", "Ada"), (theirs, "+16145550124", "Ben")):
        feed.person(("hubspot_contact", contact), phones=(phone,), first_name=name)
    call, other = works.call("+16145550125"), works.call("+16145550126", place=-2)
    both = (targets.DO_NOT_CALL, targets.CALLRAIL_DO_NOT_CALL)
    for phone in ("+16145550123", "+16145550125"):
        works.list_number(phone)
    assert [works.apply(target).statuses for target in both] == [{"written": 1}, {"written": 1}]
    works.contact(0)
    works.call("+16145550125")
    works.database.session.execute(
        "UPDATE crm.dnc_list SET ended_at = now(), ended_by = gen_random_uuid(), end_reason = 'a test'"
    )
    assert feed.feed(full=True).counts["listed"] == 0
    assert [works.apply(target).statuses for target in both] == [{"written": 1}, {"written": 1}]
    assert (marks(works, ours, theirs), "do_not_call" in tags(works, call)) == (["false", None], False)
    works.hubspot.edit("contacts", theirs, {"genius_do_not_call": "true"})
    works.callrail.tag_late(other, "do_not_call")
    works.contact(1)
    works.call("+16145550126", place=-2)
    assert feed.feed().counts["listed"] == 2
    assert [feed.listed(f"+1614555012{last}", "call") for last in range(3, 7)] == [False, True, False, True]
    assert [works.apply(target).statuses for target in both] == [{}, {}]
    assert (marks(works, ours, theirs), "do_not_call" in tags(works, other)) == (["false", "true"], True)


def test_a_plan_writes_no_mark_that_the_list_no_longer_says(works: Business) -> None:
    """Who said stop after a plan would clear their mark keeps it, and who may be called by now gets none."""
    stopped, freed = works.contact(0), works.contact(1)
    numbers = ("+16145550123", "+16145550124")
    for contact, phone in zip((stopped, freed), numbers, strict=True):
        works.database.record(("hubspot_contact", contact), None, phones=(phone,))
    calls = [works.call(phone, place) for phone, place in zip(numbers, (-1, -2), strict=True)]
    both = (targets.DO_NOT_CALL, targets.CALLRAIL_DO_NOT_CALL)
    end = "UPDATE crm.dnc_list SET ended_at = now(), ended_by = gen_random_uuid(), end_reason = 'a test'"
    works.list_number(numbers[0])
    for target in both:
        works.apply(target)
    works.contact(0), works.call(numbers[0])
    works.database.session.execute(end.encode())
    works.list_number(numbers[1])
    plans = []
    for target in both:
        with run.connected(works.url, target) as at_work:
            plans.append((target, at_work.plan("a test")))
    works.database.session.execute(f"{end} WHERE ended_at IS NULL")
    works.list_number(numbers[0])
    for target, plan in plans:
        with run.connected(works.url, target) as at_work:
            assert (plan.statuses, at_work.apply(plan, "a test").statuses) == ({"planned": 2}, {"moved": 2})
    assert (marks(works, stopped, freed), ["do_not_call" in tags(works, call) for call in calls]) == (
        ["true", None], [True, False],
    )  # fmt: skip


def marks(works: Business, *contacts: str) -> list[str | None]:
    shown = (works.hubspot.record("contacts", one)["properties"] for one in contacts)
    return [one.get("genius_do_not_call") for one in shown]


ENDED = b"UPDATE crm.dnc_list SET ended_at = now(), ended_by = gen_random_uuid(), end_reason = 'a test'"


def meanwhile(monkeypatch: pytest.MonkeyPatch, happens: Callable[[], Any]) -> None:
    """Let something happen in place of the first wait for the vendor."""
    waits: list[float] = []

    def pause(self: ReadContext, title: str, seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 1:
            happens()

    monkeypatch.setattr(ReadContext, "pause", pause)


@pytest.mark.parametrize("hand", [False, True])
def test_a_mark_that_waits_for_the_vendor_is_asked_about_again(
    works: Business, monkeypatch: pytest.MonkeyPatch, hand: bool
) -> None:
    """Its receipt does not stay open, or what a person sets there from now on would count as ours."""
    contact = works.contact(0)
    works.database.record(("hubspot_contact", contact), None, phones=("+16145550123",))
    works.list_number("+16145550123")

    def happens() -> None:
        assert works.database.one("SELECT status FROM reverse_etl.receipt")["status"] == "refused"
        if hand:
            works.hubspot.edit("contacts", contact, {"genius_do_not_call": "false"})
        else:
            works.database.session.execute(ENDED)

    with run.connected(works.url, targets.DO_NOT_CALL) as at_work:
        at_work.partner.prepare()
        plan = at_work.plan("a test")
        works.hubspot.set_fault("rate_limit", path="/contacts/batch/update", times=1, retry_after=34)
        meanwhile(monkeypatch, happens)
        assert at_work.apply(plan, "a test").statuses == {"moved": 1}
    assert marks(works, contact) == ["false" if hand else None]
    assert works.database.one("SELECT status FROM reverse_etl.receipt")["status"] == "refused"


def test_the_stop_file_stops_what_waits_for_the_vendor(works: Business, monkeypatch: pytest.MonkeyPatch) -> None:
    contact = works.contact(0)
    works.database.person(("hubspot_contact", contact))
    stop = applying.stop_file()
    stop.parent.mkdir(parents=True, exist_ok=True)
    with run.connected(works.url, targets.PEOPLE) as at_work:
        at_work.partner.prepare()
        plan = at_work.plan("a test")
        works.hubspot.set_fault("rate_limit", path="/contacts/batch/update", times=1, retry_after=4)
        meanwhile(monkeypatch, stop.touch)
        try:
            with pytest.raises(ActionNeeded, match="stop-outbound is there"):
                at_work.apply(plan, "a test")
        finally:
            stop.unlink(missing_ok=True)
        assert works.hubspot.record("contacts", contact)["properties"]["genius_golden_id"] is None
        assert at_work.apply(plan, "a test").statuses == {"written": 1}


def test_a_mark_of_an_update_whose_answer_was_lost_does_not_stay_open(
    works: Business, monkeypatch: pytest.MonkeyPatch
) -> None:
    contact = works.contact(0)
    works.database.record(("hubspot_contact", contact), None, phones=("+16145550123",))
    works.list_number("+16145550123")
    with run.connected(works.url, targets.DO_NOT_CALL) as at_work:
        at_work.partner.prepare()
        plan = at_work.plan("a test")
        works.hubspot.set_fault("status", path="/contacts/batch/update", times=1, status=503)
        meanwhile(monkeypatch, lambda: works.database.session.execute(ENDED))
        monkeypatch.setattr(applying, "ASKED_SECONDS", 0)
        assert at_work.apply(plan, "a test").statuses == {"moved": 1}
    assert works.database.one("SELECT status FROM reverse_etl.receipt")["status"] == "refused"


UPDATE, READ = "/contacts/batch/update", "/contacts/batch/read"


@pytest.mark.every_case
@pytest.mark.parametrize(
    "faults",
    [
        [{"kind": "rate_limit", "path": UPDATE, "retry_after": 0}],
        [{"kind": "rate_limit", "path": UPDATE, "times": 1, "retry_after": 3600}],
        [
            {"kind": "rate_limit", "path": UPDATE, "times": 1, "retry_after": 0},
            {"kind": "rate_limit", "path": READ, "after": 1, "retry_after": 3600},
        ],
        [{"kind": "status", "path": UPDATE, "status": 403}],
    ],
    ids=["busy for long", "a long wait", "busy for reads too", "no right"],
)
def test_a_mark_that_was_never_sent_does_not_stay_open_and_one_by_hand_is_an_opt_out(
    works: Business, faults: list[dict[str, Any]]
) -> None:
    contact = works.contact(0)
    works.database.person(("hubspot_contact", contact), phones=("+16145550123",))
    works.list_number("+16145550123")
    with run.connected(works.url, targets.DO_NOT_CALL) as at_work:
        at_work.partner.prepare()
        plan = at_work.plan("a test")
        for fault in faults:
            works.hubspot.set_fault(**fault)
        with pytest.raises(WarehouseError):
            at_work.apply(plan, "a test")
    works.hubspot.clear_faults()
    assert works.database.one("SELECT status FROM reverse_etl.receipt")["status"] == "refused"
    works.hubspot.edit("contacts", contact, {"genius_do_not_call": "true"})
    works.contact(0)
    works.database.session.execute(ENDED)
    assert works.database.feed().counts["listed"] == 1
    works.apply(targets.DO_NOT_CALL)
    assert marks(works, contact) == ["true"]


def test_calls_that_are_refused_keep_no_other_from_its_tag(works: Business, monkeypatch: pytest.MonkeyPatch) -> None:
    """They stop a plan where they are most of it, and are the last of the next one."""
    calls = [works.call(f"+1614555012{number}", place=number) for number in range(5)]
    for number in range(5):
        works.list_number(f"+1614555012{number}")
    target = targets.CALLRAIL_DO_NOT_CALL
    send = CallRailPartner._write

    def write(self: CallRailPartner, one: Write) -> None:
        if one.object_id in refused:
            raise RequestRefused("this call cannot be tagged")
        send(self, one)

    monkeypatch.setattr(CallRailPartner, "_write", write)
    monkeypatch.setattr(applying, "JUDGED", 4)
    with run.connected(works.url, target) as at_work:
        plan = at_work.plan("a test")
        order = [item.object_id for item in ledger.items(at_work.session, plan.plan_id)]
        refused = order[:3]
        with pytest.raises(ActionNeeded, match="refuses too much"):
            at_work.apply(plan, "a test")
    with pytest.raises(ActionNeeded, match="refuses too much"):
        works.apply(target)
    assert {one for one in calls if "do_not_call" in tags(works, one)} == set(order[3:])
    monkeypatch.setattr(applying, "JUDGED", 25)
    assert works.apply(target).statuses == {"refused": 3}


def test_an_account_that_refuses_costs_no_tag_of_the_others(
    database_url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with business(database_url, monkeypatch, callrail={"accounts": 2}) as works:
        call = works.call("+16145550123")
        works.list_number("+16145550123")
        for number in range(4):
            works.database.source(
                "callrail_call", id=f"CALspam{number}", customer_phone_number_e164=f"+1614555019{number}",
                start_time="2026-11-01T00:00:00Z", raw_data={"tags": []},
            )  # fmt: skip
            works.list_number(f"+1614555019{number}")
        refusing = works.callrail.ids("accounts")[1]
        works.callrail.set_fault("status", path=f"/{refusing}/calls", status=403)
        plan = works.apply(targets.CALLRAIL_DO_NOT_CALL)
        assert plan.statuses == {"written": 1, "refused": 4}
        assert "do_not_call" in tags(works, call)
        reasons = works.database.all("SELECT DISTINCT reason FROM reverse_etl.plan_item WHERE status = 'refused'")
        assert [refusing in row["reason"] for row in reasons] == [True]
        assert sum(refusing in message for message in caplog.messages) == 1


def test_a_key_all_of_whose_accounts_refuse_is_told_so(works: Business) -> None:
    works.call("+16145550123")
    works.list_number("+16145550123")
    works.callrail.set_fault("status", path="/calls/", status=403)
    with pytest.raises(PermissionMissing):
        works.apply(targets.CALLRAIL_DO_NOT_CALL)


def test_nothing_is_written_from_a_warehouse_whose_restore_did_not_end(works: Business) -> None:
    contact = works.contact(0)
    works.database.record(("hubspot_contact", contact), None, phones=("+16145550123",))
    works.list_number("+16145550123")
    with run.connected(works.url, targets.DO_NOT_CALL) as at_work:
        at_work.prepare()
        plan = at_work.plan("a test")
        works.database.session.execute("CREATE SCHEMA restore_unfinished")
        asked: list[Callable[[], Any]] = [
            at_work.prepare, lambda: at_work.plan("a test"), lambda: at_work.apply(plan, "a test"),
            lambda: at_work.plan_undo(plan, "a test"),
        ]  # fmt: skip
        for ask in asked:
            with pytest.raises(WrongUse, match="the restore of this warehouse did not end"):
                ask()
    assert marks(works, contact) == [None]


def test_an_undo_does_not_archive_what_people_associated(works: Business) -> None:
    works.genius()
    plan = works.apply(targets.DIVISIONS)
    akron = works.record("divisions", genius_division_id="902")["hs_object_id"]
    for contact in works.hubspot.ids("contacts")[:2]:
        works.hubspot.associate("contacts", contact, "divisions", akron)
    with run.connected(works.url, targets.DIVISIONS) as at_work:
        assert all(verdict.holds for verdict in at_work.verify(plan))
    works.undo(plan)
    assert akron in works.hubspot.ids("divisions")
    refused = works.database.all("SELECT reason FROM reverse_etl.plan_item WHERE status = 'refused'")
    assert ["2 associations with contact" in row["reason"] for row in refused] == [True]


def test_a_zip_code_that_people_associated_goes_not_with_its_people(works: Business) -> None:
    works.genius()
    for number, zipcode in enumerate(("45801", "45802"), 1):
        works.database.source("genius_lead", lead_id=number, zipcode=zipcode, division_id=901)
    works.database.source("genius_lead", lead_id=3, zipcode="43604", division_id=901)
    works.apply(targets.DIVISIONS)
    works.apply(targets.ZIP_CODES)
    ids = {code: works.record("zipcodes", genius_zip=code)["hs_object_id"] for code in ("45801", "45802")}
    works.hubspot.portal.associations.make_type("zipcodes", "contacts", "Lives in")
    works.hubspot.associate("contacts", works.hubspot.ids("contacts")[0], "zipcodes", ids["45801"])
    works.database.session.execute("UPDATE genius_lead SET archived = true WHERE lead_id < 3")
    assert works.apply(targets.ZIP_CODES).statuses == {"refused": 1, "written": 1}
    assert set(works.hubspot.ids("zipcodes")) & set(ids.values()) == {ids["45801"]}


@pytest.mark.parametrize(("entry", "number", "other"), [
    ("+6145550123", "+16145550123", "+16145550124"),  # without the 1
    ("+16145550123", "+6145550123", "+6145550124"),
    ("+2079460958", "+442079460958", "+442079460959"),  # without the country's code
    ("+4402079460958", "+442079460958", "+442079460959"),  # with the zero that is dialled within the country
])  # fmt: skip
def test_a_contact_is_marked_whose_number_the_list_has_in_another_spelling(
    works: Business, entry: str, number: str, other: str
) -> None:
    listed, free = works.contact(0), works.contact(1)
    for contact, phone in ((listed, number), (free, other)):
        works.database.record(("hubspot_contact", contact), None, phones=(phone,))
    call = works.call(number)
    works.list_number(entry)
    assert works.database.listed(number, "call")
    assert works.apply(targets.DO_NOT_CALL).statuses == {"written": 1}
    assert marks(works, listed, free) == ["true", None]
    assert works.apply(targets.CALLRAIL_DO_NOT_CALL).statuses == {"written": 1}
    assert "do_not_call" in tags(works, call)


def test_all_contacts_of_a_person_are_marked_whose_lead_is_listed_and_others_of_its_address(works: Business) -> None:
    first, second, spouse, free = (works.contact(place) for place in range(4))
    ada = works.database.person(("hubspot_contact", first), ("hubspot_contact", second))
    ben = works.database.person(("hubspot_contact", spouse))
    works.database.person(("hubspot_contact", free))
    leads = [
        works.database.one(
            "INSERT INTO crm.leads (organization_id, golden_id, email) VALUES (%s, %s, 'Family@home.example')"
            " RETURNING id",
            [ORGANIZATION, person],
        )["id"]
        for person in (ada, ben)
    ]
    works.database.session.execute(
        "INSERT INTO crm.dnc_list (organization_id, lead_id, reason) VALUES (%s, %s, 'opt_out')",
        [ORGANIZATION, leads[0]],
    )
    blocked = works.database.all("SELECT crm.lead_block_reason(l, NULL) AS why FROM crm.leads AS l")
    assert [row["why"] for row in blocked] == ["dnc", "dnc"]
    assert works.apply(targets.DO_NOT_CALL).statuses == {"written": 3}
    assert marks(works, first, second, spouse, free) == ["true", "true", "true", None]


def test_a_contact_is_marked_of_a_person_whose_listed_lead_was_of_a_person_that_is_part_of_it(works: Business) -> None:
    mine, theirs = works.contact(0), works.contact(1)
    stays = works.database.person(("hubspot_contact", mine))
    goes = works.database.person(("hubspot_contact", theirs))
    works.database.session.execute(
        "WITH lead AS (INSERT INTO crm.leads (organization_id, golden_id, deleted_at) VALUES (%s, %s, now())"
        " RETURNING organization_id, id)"
        " INSERT INTO crm.dnc_list (organization_id, lead_id, reason, channels)"
        " SELECT organization_id, id, 'opt_out', '{call}' FROM lead",
        [ORGANIZATION, goes],
    )
    works.database.join(stays, goes)
    assert works.apply(targets.DO_NOT_CALL).statuses == {"written": 2}
    assert marks(works, mine, theirs) == ["true", "true"]


def test_a_number_that_an_erased_person_shared_stays_marked_and_its_next_call_is_tagged(works: Business) -> None:
    from warehouse_pipelines.unified.erasing import erasure

    phone = "+16145550123"
    first, second = (
        works.contact(0, email="ada@home.example", phone_e164=phone, lead_is_dnc=True),
        works.contact(1, email="ben@home.example", phone_e164=phone),
    )
    feed = works.database
    ada = feed.person(("hubspot_contact", first), phones=(phone,), first_name="Ada", email="ada@home.example")
    feed.person(("hubspot_contact", second), phones=(phone,), first_name="Ben", email="ben@home.example")
    feed.feed()
    call = works.call(phone)
    for target in (targets.DO_NOT_CALL, targets.CALLRAIL_DO_NOT_CALL):
        works.apply(target)
    assert marks(works, first, second) == ["true", "true"]
    assert "do_not_call" in tags(works, call)
    erasure.erase(feed.session, "person", str(ada), [ada], erased_by="a test")
    works.contact(1, email="ben@home.example", phone_e164=phone)
    works.call(phone)
    assert feed.listed(phone, "call")
    assert feed.all("SELECT FROM crm.dnc_list WHERE phone IS NOT NULL") == []
    later, again = works.contact(2), works.call(phone, place=-2, start_time="2026-11-02T00:00:00Z")
    feed.person(("hubspot_contact", later), phones=(phone,), first_name="Cy")
    assert works.apply(targets.DO_NOT_CALL).statuses == {"written": 1}
    assert marks(works, second, later) == ["true", "true"]
    assert works.apply(targets.CALLRAIL_DO_NOT_CALL).statuses == {"written": 1}
    assert "do_not_call" in tags(works, call)
    assert "do_not_call" in tags(works, again)


def test_the_tag_goes_when_a_number_may_be_called_again_and_stays_while_the_number_is_unknown(works: Business) -> None:
    calls = [works.call("+16145550123"), works.call("+16145550124", place=-2)]
    for phone in ("+16145550123", "+16145550124"):
        works.list_number(phone)
    assert works.apply(targets.CALLRAIL_DO_NOT_CALL).statuses == {"written": 2}
    works.database.session.execute(
        "UPDATE crm.dnc_list SET ended_at = now(), ended_by = gen_random_uuid(), end_reason = 'a test'"
    )
    works.call("+16145550123"), works.call(None, place=-2)
    assert works.apply(targets.CALLRAIL_DO_NOT_CALL).statuses == {"written": 1}
    assert ["do_not_call" in tags(works, call) for call in calls] == [False, True]


def test_the_last_call_of_a_listed_number_gets_a_tag_beside_those_of_people(works: Business) -> None:
    call = works.callrail.ids("calls")[-1]
    works.callrail.tag_late(call, "quote")
    before = tags(works, call)
    works.database.source(
        "callrail_call", id=call, customer_phone_number_e164="+16145550123", start_time="2026-11-01T00:00:00Z",
        raw_data={"tags": before},
    )  # fmt: skip
    works.list_number("+16145550123")
    plan = works.apply(targets.CALLRAIL_DO_NOT_CALL)
    assert plan.statuses == {"written": 1}
    assert tags(works, call) == [*before, "do_not_call"]
    works.callrail.tag_late(call, "by hand")
    assert works.undo(plan).statuses == {"written": 1}
    assert tags(works, call) == [*before, "by hand"]
    assert works.callrail.counters.report()["statuses"].keys() <= {"200"}


def tags(works: Business, call: str) -> list[str]:
    shown = works.callrail.record("calls", call)["detail_tags"]
    return [tag["name"] for tag in shown]


def test_erased_people_are_not_sent_and_what_was_sent_of_them_is_deleted(works: Business) -> None:
    from warehouse_pipelines.unified.erasing import erasure, export

    contact, other = works.contact(0, email="ana@home.example"), works.contact(1)
    person = works.database.person(("hubspot_contact", contact), email="ana@home.example")
    works.database.person(("hubspot_contact", other))
    plan = works.apply(targets.PEOPLE)
    assert plan.statuses == {"written": 2}
    session = works.database.session
    told = export.person(session, "person", str(person), [person])
    assert [one["object_id"] for one in told["sent_to_vendors"]] == [contact]
    erasure.erase(session, "person", str(person), [person], erased_by="a test")
    left = works.database.all("SELECT subject FROM reverse_etl.receipt UNION SELECT subject FROM reverse_etl.plan_item")
    assert [row["subject"] for row in left] == [f"hubspot_contact:{other}"]
    works.contact(0, email="ana@home.example")  # as if it came back by another way
    works.database.person(("hubspot_contact", contact), email="ana@home.example")
    works.hubspot.edit("contacts", contact, {"genius_golden_id": None, "genius_lead_score": None})
    works.contact(0)
    again = works.apply(targets.PEOPLE)
    assert again.statuses.get("withheld") == 1
    assert works.hubspot.record("contacts", contact)["properties"]["genius_golden_id"] is None


def test_a_person_erased_after_the_plan_is_not_sent(works: Business) -> None:
    from warehouse_pipelines.unified.erasing import erasure

    contact = works.contact(0, email="ana@home.example")
    person = works.database.person(("hubspot_contact", contact), email="ana@home.example")
    with run.connected(works.url, targets.PEOPLE) as at_work:
        at_work.partner.prepare()
        plan = at_work.plan("a test")
        erasure.erase(works.database.session, "person", str(person), [person], erased_by="a test")
        done = at_work.apply(plan, "a test")
    assert not done.statuses.get("written")
    assert works.hubspot.record("contacts", contact)["properties"]["genius_golden_id"] is None


def test_a_person_erased_while_the_vendor_is_read_is_not_sent_and_leaves_nothing_here(
    works: Business, monkeypatch: pytest.MonkeyPatch
) -> None:
    from warehouse_pipelines.unified.erasing import erasure

    contact = works.contact(0, email="ana@home.example")
    person = works.database.person(("hubspot_contact", contact), email="ana@home.example")

    def erasing(function: Callable[..., Any]) -> Callable[..., Any]:
        def erased(*args: Any) -> Any:
            found = function(*args)
            erasure.erase(works.database.session, "person", str(person), [person], erased_by="a test")
            return found

        return erased

    with run.connected(works.url, targets.PEOPLE) as at_work:
        at_work.partner.prepare()
        plan = at_work.plan("a test")
        monkeypatch.setattr(Delivery, "current", erasing(Delivery.current))
        done = at_work.apply(plan, "a test")
    assert done.statuses == {}
    assert works.database.all("SELECT FROM reverse_etl.receipt") == []
    assert works.hubspot.record("contacts", contact)["properties"]["genius_golden_id"] is None


def test_a_person_erased_while_the_vendor_is_waited_for_is_not_sent_and_leaves_nothing_here(
    works: Business, monkeypatch: pytest.MonkeyPatch
) -> None:
    from warehouse_pipelines.unified.erasing import erasure

    contact = works.contact(0, email="ana@home.example")
    person = works.database.person(("hubspot_contact", contact), email="ana@home.example")
    with run.connected(works.url, targets.PEOPLE) as at_work:
        at_work.partner.prepare()
        plan = at_work.plan("a test")
        works.hubspot.set_fault("rate_limit", path="/contacts/batch/update", times=1, retry_after=5)
        erase = erasure.erase
        meanwhile(
            monkeypatch,
            lambda: erase(works.database.session, "person", str(person), [person], erased_by="a test"),
        )
        assert at_work.apply(plan, "a test").statuses == {}
    assert works.database.all("SELECT FROM reverse_etl.receipt") == []
    assert works.hubspot.record("contacts", contact)["properties"]["genius_golden_id"] is None


def test_a_person_erased_while_a_plan_is_made_is_in_no_plan(works: Business, monkeypatch: pytest.MonkeyPatch) -> None:
    from warehouse_pipelines.unified.erasing import erasure

    contact = works.contact(0, email="ana@home.example")
    person = works.database.person(("hubspot_contact", contact), email="ana@home.example")
    with run.connected(works.url, targets.PEOPLE) as at_work:
        at_work.partner.prepare()
        read = at_work.partner.read

        def erasing(ids: Sequence[str]) -> Any:
            erasure.erase(works.database.session, "person", str(person), [person], erased_by="a test")
            return read(ids)

        monkeypatch.setattr(at_work.partner, "read", erasing)
        with pytest.raises(TryAgain, match="a person was erased while the plan"):
            at_work.plan("a test")
    assert works.database.all("SELECT FROM reverse_etl.plan_item") == []


def test_whose_record_the_vendor_deleted_for_good_is_not_sent(works: Business) -> None:
    contact = works.contact(0)
    works.database.person(("hubspot_contact", contact))
    works.database.session.execute(
        "INSERT INTO identity.erasure_proposal (source_table, source_key, reason)"
        " VALUES ('hubspot_contact', %s, 'a test')",
        [contact],
    )
    assert works.apply(targets.PEOPLE).statuses == {"withheld": 1}
    assert json.dumps(works.hubspot.record("contacts", contact)).count("genius_golden_id") <= 1

"""Events that are written to Google Calendar: once, guarded, and in the warehouse right after the answer."""

from collections.abc import Iterator
from typing import Any

import pytest

from warehouse_pipelines.errors import PermissionMissing, VendorUnavailable, WritePostponed, WrongUse
from warehouse_pipelines.model.reading import ReadContext
from warehouse_pipelines.outbound import applying, google_events, ledger
from warehouse_pipelines.outbound.google_calendar import EVENTS, CalendarPartner
from warehouse_pipelines.outbound.google_events import (
    Draft,
    cancel_event,
    create_event,
    event_id,
    plan_event,
    update_event,
)
from warehouse_pipelines.outbound.run import connected
from warehouse_pipelines.simulators.google.calendar import CREWS
from warehouse_pipelines.sources import gcalendar
from warehouse_pipelines_tests.harness.fault_points import Killed, dying
from warehouse_pipelines_tests.harness.google_target import BY, CREW, GoogleTarget, google_target

DRAFT = Draft(
    summary="Inspection", start="2026-12-01T09:30:00-05:00", guests=("Anna@example.test", "bo@example.test"), meet=True,
    description="Bring the ladder", location="12 Elm Street",
)  # fmt: skip


@pytest.fixture
def works(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[GoogleTarget]:
    with google_target(database_url, monkeypatch) as one:
        yield one


def made(works: GoogleTarget, key: str = "", draft: Draft = DRAFT) -> str:
    plan = create_event(works.url, CREW, draft, by=BY, key=key)
    assert plan.status == "applied"
    (item,) = works.items(plan)
    assert item.object_id
    return item.object_id


def test_create_event_inserts_locally(works: GoogleTarget) -> None:
    """The row is there before any sync, as a sync would have it."""
    object_id = made(works)
    row = works.event(object_id)
    assert (row["summary"], row["status"], row["location"]) == ("Inspection", "confirmed", "12 Elm Street")
    assert row["start_time"].isoformat() == "2026-12-01T14:30:00+00:00"
    assert row["end_time"].isoformat() == "2026-12-01T15:30:00+00:00"
    assert row["meet_link"].startswith("https://meet.google.com/")
    assert [one["email"] for one in row["attendees"]] == ["anna@example.test", "bo@example.test"]
    works.sync()
    after = works.event(object_id)
    assert {name: after[name] for name in after if name != "sync_updated_at"} == {
        name: row[name] for name in row if name != "sync_updated_at"
    }


@pytest.mark.slow("the same in other circumstances")
def test_what_could_not_be_written_locally_the_next_sync_brings(
    works: GoogleTarget, monkeypatch: pytest.MonkeyPatch
) -> None:
    works.sync()

    def fails(*_: Any, **__: Any) -> None:
        raise VendorUnavailable("no room")

    with monkeypatch.context() as patch:
        patch.setattr("warehouse_pipelines.loading.keyed.sync", fails)
        plan = create_event(works.url, CREW, DRAFT, by=BY)
    (item,) = works.items(plan)
    assert (plan.status, item.status) == ("applied", "written")
    assert "the next sync brings it: no room" in (item.reason or "")
    assert not works.query("SELECT 1 AS one FROM pipedesk.calendar_events WHERE summary = 'Inspection'")
    result = works.sync()
    assert (result.mode, result.created) == ("delta", 1)
    assert works.event(item.object_id or "")["meet_link"]


def test_a_lost_answer_and_a_second_call_with_the_same_key_make_no_second_event(works: GoogleTarget) -> None:
    works.google.set_fault("lost_answer", path="/events", after=2, times=1)  # the third is the write
    object_id = made(works, key="visit 7")
    works.google.clear_faults()
    again = create_event(works.url, CREW, DRAFT, by=BY, key="visit 7")
    assert (again.statuses, again.unchanged) == ({}, 1)
    assert works.writes().count(("POST", f"/calendar/v3/calendars/{CREW}/events")) == 1
    assert object_id == f"{CREW} {event_id(CREW, 'visit 7')}"
    assert len(works.query("SELECT 1 AS one FROM pipedesk.calendar_events WHERE summary = 'Inspection'")) == 1


@pytest.mark.parametrize("moment", ["before", "after", "read back", "kept", "settled"])
@pytest.mark.slow("a program of its own, which is killed")
def test_whoever_is_killed_makes_one_event_in_the_end(
    works: GoogleTarget, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    places: dict[str, tuple[Any, str, bool]] = {
        "before": (CalendarPartner, "write", True),
        "after": (CalendarPartner, "write", False),
        "read back": (applying._Applying, "_keep", True),
        "kept": (ledger, "settle", True),
        "settled": (ledger, "settle", False),
    }
    holder, name, first = places[moment]
    with connected(works.url, EVENTS) as at_work:
        plan = plan_event(at_work, CREW, DRAFT, by=BY, key="visit 8")
    with monkeypatch.context() as patch:
        patch.setattr(holder, name, dying(getattr(holder, name), first=first))
        with pytest.raises(Killed):
            works.apply(plan)
    if moment == "settled":
        create_event(works.url, CREW, DRAFT, by=BY, key="visit 8")
    else:
        assert works.apply(plan).statuses == {"written": 1}
    found = [one for one in works.google.event_ids(CREW) if one == event_id(CREW, "visit 8")]
    assert len(found) == 1
    assert works.event(f"{CREW} {found[0]}")["summary"] == "Inspection"
    assert works.writes().count(("POST", f"/calendar/v3/calendars/{CREW}/events")) == 1


def test_a_plan_that_was_killed_is_closed_by_the_next_command(
    works: GoogleTarget, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(CalendarPartner, "write", dying(CalendarPartner.write, first=False))
        with pytest.raises(Killed):
            create_event(works.url, CREW, DRAFT, by=BY, key="visit 9")
    again = create_event(works.url, CREW, DRAFT, by=BY, key="visit 9")
    assert (again.statuses, again.unchanged) == ({}, 1)
    assert works.event(f"{CREW} {event_id(CREW, 'visit 9')}")["summary"] == "Inspection"


@pytest.mark.parametrize("sent", [False, True])
@pytest.mark.slow("a program of its own, which is killed")
def test_an_undo_that_was_killed_is_closed_by_the_next_plan_and_can_be_repeated(
    works: GoogleTarget, monkeypatch: pytest.MonkeyPatch, sent: bool
) -> None:
    """An undo that stays open would outlive its age, with the personal data in it."""
    plan = create_event(works.url, CREW, DRAFT, by=BY)
    with connected(works.url, EVENTS) as at_work:
        undo = at_work.plan_undo(plan, BY)
    with monkeypatch.context() as patch:
        patch.setattr(CalendarPartner, "write", dying(CalendarPartner.write, first=not sent))
        with pytest.raises(Killed):
            works.apply(undo)
    create_event(works.url, CREW, DRAFT, by=BY, key="another")
    assert [item.status for item in works.items(undo)] == ["written" if sent else "refused"]
    assert works.query("SELECT status FROM reverse_etl.plan WHERE plan_id = %s", [undo.plan_id]) == [
        {"status": "partial"}
    ]
    assert works.undo(plan).unchanged == int(sent)
    with pytest.raises(WrongUse, match="is undone; make a new one: see `warehouse google --help`"):
        works.apply(plan)
    event = (works.items(plan)[0].object_id or "").split(" ")[1]
    assert works.google.described_event(CREW, event)["status"] == "cancelled"


def test_a_change_touches_what_is_named_and_keeps_what_guests_answered(works: GoogleTarget) -> None:
    object_id = made(works)
    event = object_id.split(" ")[1]
    described = works.google.described_event(CREW, event)
    answered = [{**one, "responseStatus": "accepted"} for one in described["attendees"]]
    works.google.edit_event(CREW, event, attendees=answered)
    changes = {
        "summary": "Inspection, again", "start": "2026-12-01T15:00:00+00:00", "end": "2026-12-01T16:00:00+00:00",
        "guests": "anna@example.test;cy@example.test",
    }  # fmt: skip
    plan = update_event(works.url, CREW, event, changes, by=BY, why="the customer called")
    assert (plan.status, plan.statuses, plan.why) == ("applied", {"written": 1}, "the customer called")
    row = works.event(object_id)
    assert (row["summary"], row["description"]) == ("Inspection, again", "Bring the ladder")
    assert {one["email"]: one["responseStatus"] for one in row["attendees"]} == {
        "anna@example.test": "accepted", "cy@example.test": "needsAction",
    }  # fmt: skip
    assert row["meet_link"]
    assert update_event(works.url, CREW, event, changes, by=BY).unchanged == 1


def test_who_is_faster_is_not_overwritten(works: GoogleTarget, monkeypatch: pytest.MonkeyPatch) -> None:
    """The ETag guards the moment between our look and our write, also where another field was changed."""
    object_id = made(works)
    event = object_id.split(" ")[1]
    send = CalendarPartner.write

    def slow(self: CalendarPartner, action: Any, writes: Any) -> Any:
        works.google.edit_event(CREW, event, summary="by hand")
        return send(self, action, writes)

    with monkeypatch.context() as patch:
        patch.setattr(CalendarPartner, "write", slow)
        plan = update_event(works.url, CREW, event, {"summary": "ours", "location": "elsewhere"}, by=BY)
    (item,) = works.items(plan)
    assert (plan.status, item.status) == ("partial", "refused")
    assert "412" in (item.reason or "")
    described = works.google.described_event(CREW, event)
    assert (described["summary"], described["location"]) == ("by hand", "12 Elm Street")


def test_what_was_changed_since_it_was_planned_is_left(works: GoogleTarget) -> None:
    event = made(works).split(" ")[1]
    with connected(works.url, EVENTS) as at_work:
        plan = google_events.plan_change(at_work, CREW, event, {"summary": "ours"}, by=BY)
    works.google.edit_event(CREW, event, summary="by hand")
    assert works.apply(plan).statuses == {"moved": 1}
    assert works.google.described_event(CREW, event)["summary"] == "by hand"


@pytest.mark.slow("the same in other circumstances")
def test_a_cancelled_event_keeps_its_row_and_is_restored(works: GoogleTarget) -> None:
    object_id = made(works, key="visit 10")
    event = object_id.split(" ")[1]
    assert cancel_event(works.url, CREW, event, by=BY, why="rain").status == "applied"
    row = works.event(object_id)
    assert (row["status"], row["archived"], row["summary"]) == ("cancelled", True, "Inspection")
    with pytest.raises(WrongUse, match="was cancelled; restore it"):
        create_event(works.url, CREW, DRAFT, by=BY, key="visit 10")
    with pytest.raises(WrongUse, match="restore it first"):
        update_event(works.url, CREW, event, {"summary": "x"}, by=BY)
    update_event(works.url, CREW, event, {"status": "confirmed"}, by=BY)
    row = works.event(object_id)
    assert (row["status"], row["archived"], row["summary"]) == ("confirmed", False, "Inspection")


@pytest.mark.slow("the same in other circumstances")
def test_an_undo_cancels_what_was_made_and_takes_back_what_was_changed(works: GoogleTarget) -> None:
    first = create_event(works.url, CREW, DRAFT, by=BY)
    (item,) = works.items(first)
    event = (item.object_id or "").split(" ")[1]
    second = update_event(works.url, CREW, event, {"summary": "other", "guests": None}, by=BY)
    assert works.holds(second) == [True]
    works.undo(second)
    row = works.event(item.object_id or "")
    assert (row["summary"], len(row["attendees"])) == ("Inspection", 2)
    works.undo(first)
    assert works.google.described_event(CREW, event)["status"] == "cancelled"
    assert works.event(item.object_id or "")["archived"]


def planned(works: GoogleTarget, event: str, changes: dict[str, str | None], **how: Any) -> ledger.Plan:
    with connected(works.url, EVENTS) as at_work:
        return google_events.plan_change(at_work, CREW, event, changes, by=BY, **how)


@pytest.mark.parametrize("looked", [False, True])
def test_an_event_that_was_cancelled_since_it_was_planned_is_left(works: GoogleTarget, looked: bool) -> None:
    """Or new guests would be invited to what does not take place; neither does an undo write into it."""
    event = made(works).split(" ")[1]
    plan = planned(works, event, {"guests": "anna@example.test;new@example.test"})
    if looked:
        assert works.apply(plan).statuses == {"written": 1}
    works.google.delete_event(CREW, event)
    if looked:
        assert works.holds(plan) == [False]
        assert works.undo(plan).statuses == {"moved": 1}
        works.google.restore_event(CREW, event)
        assert works.undo(plan).statuses == {"written": 1}
        return
    assert works.apply(plan).statuses == {"moved": 1}
    assert works.items(plan)[0].reason == "cancelled at the vendor since it was planned"


def series(works: GoogleTarget) -> dict[str, Any]:
    works.sync()
    [event] = works.query(
        "SELECT google_event_id AS id FROM pipedesk.calendar_events WHERE calendar_id = %s AND recurrence IS NOT NULL"
        " ORDER BY 1 LIMIT 1",
        [CREW],
    )
    return event


def test_a_change_of_a_series_that_google_refuses_has_written_nothing(
    works: GoogleTarget, monkeypatch: pytest.MonkeyPatch
) -> None:
    event = series(works)["id"]
    send = CalendarPartner.write

    def slow(self: CalendarPartner, action: Any, writes: Any) -> Any:
        works.google.edit_event(CREW, event, summary="by hand")
        return send(self, action, writes)

    monkeypatch.setattr(CalendarPartner, "write", slow)
    plan = update_event(works.url, CREW, event, {"location": "elsewhere"}, by=BY, series=True)
    assert plan.statuses == {"refused": 1}
    with pytest.raises(WrongUse, match="has written nothing"):
        works.undo(plan)


def test_what_a_person_makes_of_a_series_that_google_put_off_is_not_ours_to_undo(
    works: GoogleTarget, monkeypatch: pytest.MonkeyPatch
) -> None:
    event = series(works)["id"]
    plan = planned(works, event, {"location": "elsewhere"}, series=True)

    def busy(self: CalendarPartner, action: Any, writes: Any) -> Any:
        raise WritePostponed("429", 0)

    with monkeypatch.context() as patch:
        patch.setattr(CalendarPartner, "write", busy)
        with pytest.raises(VendorUnavailable):
            works.apply(plan)
    works.google.edit_event(CREW, event, location="elsewhere")
    assert works.apply(plan).statuses == {"moved": 1}
    with pytest.raises(WrongUse, match="has written nothing"):
        works.undo(plan)
    assert works.google.described_event(CREW, event)["location"] == "elsewhere"


def test_a_series_is_changed_only_as_a_whole_and_by_name(works: GoogleTarget) -> None:
    event = series(works)
    rule = "RRULE:FREQ=WEEKLY;BYDAY=TU"
    with pytest.raises(WrongUse, match=f"is a series .{rule}.*--series"):
        cancel_event(works.url, CREW, event["id"], by=BY)
    assert works.google.described_event(CREW, event["id"])["status"] == "confirmed"
    plan = cancel_event(works.url, CREW, event["id"], by=BY, series=True)
    (item,) = works.items(plan)
    assert (item.status, item.reason) == ("written", f"all events of the series {rule}")
    assert item.fields["recurrence"].old == rule
    assert works.google.described_event(CREW, event["id"])["status"] == "cancelled"
    assert works.undo(plan).statuses == {"written": 1}
    described = works.google.described_event(CREW, event["id"])
    assert (described["status"], described["recurrence"]) == ("confirmed", [rule])


def test_an_event_that_became_a_series_since_it_was_planned_is_left(works: GoogleTarget) -> None:
    event = made(works).split(" ")[1]
    plan = planned(works, event, {"status": "cancelled"})
    works.google.edit_event(CREW, event, recurrence=["RRULE:FREQ=WEEKLY"])
    assert works.apply(plan).statuses == {"refused": 1}
    assert works.google.described_event(CREW, event)["status"] == "confirmed"


def test_an_event_that_became_a_series_is_not_cancelled_by_an_undo(works: GoogleTarget) -> None:
    plan = create_event(works.url, CREW, DRAFT, by=BY)
    event = (works.items(plan)[0].object_id or "").split(" ")[1]
    works.google.edit_event(CREW, event, recurrence=["RRULE:FREQ=WEEKLY"])
    works.undo(plan)
    assert works.google.described_event(CREW, event)["status"] == "confirmed"


def test_an_event_with_an_erased_guest_is_not_restored(works: GoogleTarget) -> None:
    plan = create_event(works.url, CREW, DRAFT, by=BY)
    event = (works.items(plan)[0].object_id or "").split(" ")[1]
    update_event(works.url, CREW, event, {"status": "cancelled"}, by=BY)
    works.erase("bo@example.test")
    assert update_event(works.url, CREW, event, {"status": "confirmed"}, by=BY).statuses == {"withheld": 1}


def test_the_same_command_after_a_killed_one_makes_no_second_event(
    works: GoogleTarget, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(CalendarPartner, "write", dying(CalendarPartner.write, first=False))
        with pytest.raises(Killed):
            create_event(works.url, CREW, DRAFT, by=BY)
    before = len(works.google.event_ids(CREW))
    create_event(works.url, CREW, DRAFT, by=BY)
    assert len(works.google.event_ids(CREW)) == before
    assert works.writes().count(("POST", f"/calendar/v3/calendars/{CREW}/events")) == 1


def test_an_event_that_somebody_changed_is_not_cancelled_by_an_undo(works: GoogleTarget) -> None:
    plan = create_event(works.url, CREW, DRAFT, by=BY)
    event = (works.items(plan)[0].object_id or "").split(" ")[1]
    works.google.edit_event(CREW, event, description="by hand")
    assert works.holds(plan) == [False]
    with connected(works.url, EVENTS) as at_work:
        undo = at_work.plan_undo(plan, BY)
    assert undo.statuses == {"refused": 1}
    assert works.google.described_event(CREW, event)["status"] == "confirmed"


def test_reading_has_no_more_rights_than_before(works: GoogleTarget, monkeypatch: pytest.MonkeyPatch) -> None:
    works.google.configure(delegated_scopes=())
    works.sync()
    assert "not granted, for writing: calendar.events" in gcalendar.check()
    works.google.configure(delegated_scopes=("calendar.events", "drive"))
    works.google.expire_tokens()
    works.google.set_role(CREWS[1], "reader")
    checked = gcalendar.check()
    assert (
        "granted: calendar.readonly; for writing: calendar.events for the user of GOOGLE_WRITE_AS, which may write 1"
        in checked
    )
    monkeypatch.setenv("GCALENDAR_IDS", ",".join(CREWS))
    with pytest.raises(PermissionMissing, match="requiredAccessLevel"):
        create_event(works.url, CREWS[1], DRAFT, by=BY)


def test_guests_need_a_user_to_act_for(works: GoogleTarget, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOOGLE_WRITE_AS", "")
    with pytest.raises(PermissionMissing, match="Domain-Wide Delegation"):
        create_event(works.url, CREW, DRAFT, by=BY)


def test_a_guest_who_is_erased_while_google_is_waited_for_is_not_invited(
    works: GoogleTarget, monkeypatch: pytest.MonkeyPatch
) -> None:
    works.google.set_fault("rate_limit", path="/events", after=1, times=1, retry_after=5)
    monkeypatch.setattr(ReadContext, "pause", lambda *_: works.erase("bo@example.test"))
    assert create_event(works.url, CREW, DRAFT, by=BY).statuses == {"withheld": 1}
    assert [event for event in works.google.event_ids(CREW) if len(event) == 32] == []


def test_an_erased_guest_is_not_invited(works: GoogleTarget) -> None:
    works.erase("bo@example.test")
    plan = create_event(works.url, CREW, DRAFT, by=BY)
    assert plan.statuses == {"withheld": 1}
    assert not [one for one in works.writes() if one[0] == "POST"]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"start": "tomorrow"}, "is no time"),
        ({"start": "2026-12-01T10:00", "end": "2026-12-01T09:00"}, "not after"),
        ({"start": "2026-12-01", "end": "2026-12-02T09:00"}, "whole days or of times"),
        ({"summary": " "}, "needs a summary"),
        ({"guests": ("anna",)}, "no e-mail address"),
        ({"guests": ("a@example.test;b@example.test",)}, "no e-mail address"),
    ],
)
def test_what_is_no_event_is_refused_before_google_is_asked(
    works: GoogleTarget, wrong: dict[str, Any], message: str
) -> None:
    draft = Draft(**{"summary": "x", "start": "2026-12-01T09:30", **wrong})
    with pytest.raises(WrongUse, match=message):
        create_event(works.url, CREW, draft, by=BY)
    assert not works.google.requests()["log"]


def test_plans_of_different_events_do_not_stand_in_each_other_s_way(works: GoogleTarget) -> None:
    with connected(works.url, EVENTS) as at_work:
        plans = [plan_event(at_work, CREW, DRAFT, by=BY) for _ in range(2)]
    assert [works.apply(plan).statuses for plan in plans] == [{"written": 1}] * 2


def test_rooms_and_the_organizer_stay_when_guests_are_changed(works: GoogleTarget) -> None:
    event = made(works).split(" ")[1]
    room = {"email": "room@resource.example.test", "resource": True, "responseStatus": "accepted"}
    works.google.edit_event(CREW, event, attendees=[room, {"email": "anna@example.test"}])
    update_event(works.url, CREW, event, {"guests": "cy@example.test"}, by=BY)
    described = works.google.described_event(CREW, event)
    assert [one["email"] for one in described["attendees"]] == ["room@resource.example.test", "cy@example.test"]


def test_days_are_whole_and_a_calendar_that_nobody_reads_is_refused(works: GoogleTarget) -> None:
    object_id = made(works, draft=Draft(summary="Closed", start="2026-12-24"))
    row = works.event(object_id)
    assert (str(row["start_date"]), str(row["end_date"])) == ("2026-12-24", "2026-12-25")
    times = {"start": "2026-12-24T08:00:00+00:00", "end": "2026-12-24T09:00:00+00:00"}
    assert update_event(works.url, CREW, object_id.split(" ")[1], times, by=BY).statuses == {"written": 1}
    assert works.event(object_id)["start_date"] is None
    with pytest.raises(WrongUse, match="not among GCALENDAR_IDS"):
        create_event(works.url, "other@example.test", DRAFT, by=BY)


def test_a_conference_that_comes_later_is_in_the_next_sync(works: GoogleTarget) -> None:
    works.google.configure(slow_conferences=True)
    object_id = made(works)
    assert works.event(object_id)["meet_link"] is None
    works.google.edit_event(CREW, object_id.split(" ")[1], hangoutLink="https://meet.google.com/abc")
    works.sync()
    assert works.event(object_id)["meet_link"] == "https://meet.google.com/abc"

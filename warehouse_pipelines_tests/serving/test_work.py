"""From the inbox to the rows: what a delivery names is read, and the delivery is closed."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any

import pytest

from warehouse_pipelines import warehouse
from warehouse_pipelines.loading import lease, retention, webhook_inbox
from warehouse_pipelines.loading.options import Result
from warehouse_pipelines.loading.sync import sync
from warehouse_pipelines.model.entity import Entity
from warehouse_pipelines.model.source import Source
from warehouse_pipelines.model.webhook import Delivery, Events
from warehouse_pipelines.serving import work as program
from warehouse_pipelines.serving.vendors import Vendor
from warehouse_pipelines.serving.work import Worked, work
from warehouse_pipelines.simulators.core.wire import answer_json
from warehouse_pipelines.sources import SOURCES
from warehouse_pipelines_tests.harness.serving import contact_event, events
from warehouse_pipelines_tests.harness.source_harness import SourceHarness, looking, source_harness

pytestmark = pytest.mark.on_oldest(
    "test_two_never_work_at_the_same_time",
    "test_what_waits_for_a_busy_entity_comes_behind_what_nobody_has_looked_at",
    "test_a_merge_has_survivor_and_absorbed_read",
    "test_a_custom_object_is_read_by_delta_unless_a_setting_names_its_type",
    "test_a_delta_that_began_after_the_delivery_counts_by_the_clock_of_postgresql",
    "test_leadconduit_says_only_that_there_is_news",
    "test_old_rows_are_forgotten_and_others_stay",
)


class Inbox:
    """Deliveries of a vendor, put into the inbox as ``serve`` does, and worked off."""

    def __init__(self, url: str, source: str) -> None:
        self.url, self.source = url, source
        self._number = 0

    def put(self, body: bytes, **headers: str) -> int:
        self._number += 1
        row = (
            looking(self.url)
            .execute(
                "INSERT INTO orchestration.webhook_inbox (source, dedupe_key, headers, body, signature_valid)"
                " SELECT %s, %s, coalesce(jsonb_object_agg(k, v) FILTER (WHERE k IS NOT NULL), '{}'), %s, true"
                " FROM (SELECT * FROM unnest(%s::text[], %s::text[])) AS h (k, v) RETURNING id",
                [self.source, f"{self.source}:{self._number}", body.decode(), list(headers), list(headers.values())],
            )
            .fetchone()
        )
        assert row is not None
        return int(row["id"])

    def work(self, **how: Any) -> Worked:
        worked = work(SOURCES, url=self.url, **how)
        assert worked is not None
        return worked

    def row(self, key: int) -> dict[str, Any]:
        found = looking(self.url).execute("SELECT * FROM orchestration.webhook_inbox WHERE id = %s", [key]).fetchone()
        assert found is not None
        return found

    def make_due(self) -> None:
        looking(self.url).execute("UPDATE orchestration.webhook_inbox SET not_before = now()")


@contextmanager
def synced(table: str, url: str, patch: pytest.MonkeyPatch) -> Iterator[SourceHarness]:
    with source_harness(table, url, patch) as harness:
        harness.sync()
        yield harness


@pytest.fixture
def contacts(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[SourceHarness]:
    with synced("hubspot_contact", database_url, monkeypatch) as harness:
        yield harness


@pytest.fixture
def inbox(contacts: SourceHarness) -> Inbox:
    return Inbox(contacts.url, "hubspot")


def test_an_event_has_its_record_read_and_its_row_closed(contacts: SourceHarness, inbox: Inbox) -> None:
    first, second, *_ = contacts.simulator.ids("contacts")
    contacts.simulator.edit("contacts", first, {"city": "Elyria"})
    contacts.simulator.archive("contacts", second)
    one = inbox.put(events(contact_event(first), contact_event(first)))
    two = inbox.put(events(contact_event(second, "contact.deletion")))
    worked = inbox.work()
    assert (worked.taken, dict(worked.rows), len(worked.reads)) == (2, {"done": 2}, 1)
    assert contacts.rows()[first,]["city"] == "Elyria"
    assert contacts.rows()[second,]["delete_reason"] == "archived"
    assert [(inbox.row(key)["status"], inbox.row(key)["body"]) for key in (one, two)] == [("done", "")] * 2
    assert [row["configuration"]["mode"] for row in contacts.history()] == ["full", "webhook"]
    assert inbox.work().taken == 0


def test_what_is_not_kept_here_is_ignored(inbox: Inbox) -> None:
    key = inbox.put(events(contact_event(7, "ticket.creation"), contact_event(8, "conversation.creation")))
    worked = inbox.work()
    assert (dict(worked.rows), worked.reads, inbox.row(key)["status"]) == ({"ignored": 1}, [], "ignored")


def test_what_cannot_be_read_is_given_up_at_once(inbox: Inbox) -> None:
    key = inbox.put(b"ann@example.test is no JSON")
    assert dict(inbox.work().rows) == {"failed": 1}
    row = inbox.row(key)
    assert row["status"] == "failed"
    assert "ann@" not in row["error_message"]


def test_a_failing_vendor_is_tried_again_and_given_up_in_the_end(
    contacts: SourceHarness, inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, *_ = contacts.simulator.ids("contacts")
    monkeypatch.setattr(webhook_inbox, "MOST_TRIES", 2)
    contacts.simulator.set_fault("unauthorized")
    key = inbox.put(events(contact_event(first)))
    worked = inbox.work()
    assert dict(worked.rows) == {"retried": 1}
    assert "CredentialRefused" in worked.failures[0]
    row = inbox.row(key)
    assert (row["status"], row["attempts"]) == ("pending", 1)
    assert row["not_before"] > row["received_at"]
    assert inbox.work().taken == 0, "its time has not come"
    inbox.make_due()
    assert dict(inbox.work().rows) == {"failed": 1}
    assert inbox.row(key)["body"] != "", "somebody may look at it"
    contacts.simulator.clear_faults()
    other = inbox.put(events(contact_event(first)))
    assert dict(inbox.work().rows) == {"done": 1}
    assert inbox.row(other)["error_message"] is None


def test_one_entity_that_fails_holds_up_no_other(
    contacts: SourceHarness, inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, *_ = contacts.simulator.ids("contacts")
    company, *_ = contacts.simulator.ids("companies")
    contacts.simulator.configure(missing_scopes=["companies"])
    both = inbox.put(events(contact_event(first), contact_event(company, "company.creation")))
    alone = inbox.put(events(contact_event(first, "contact.creation")))
    assert dict(inbox.work().rows) == {"done": 1, "retried": 1}
    assert (inbox.row(both)["status"], inbox.row(alone)["status"]) == ("pending", "done")


def test_what_is_named_is_read_and_closed_before_a_list_is_read_as_a_whole(
    contacts: SourceHarness, inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, *_ = contacts.simulator.ids("contacts")
    pairs = inbox.put(
        b'[{"eventId":1,"subscriptionType":"contact.associationChange","associationType":"CONTACT_TO_DEAL",'
        b'"fromObjectId":1,"toObjectId":2}]'
    )
    named = inbox.put(events(contact_event(first)))
    seen: list[tuple[str, str]] = []

    def reading(source: Source, entity: Entity, *given: Any, **more: Any) -> Result:
        seen.append((entity.name, inbox.row(named)["status"]))
        return sync(source, entity, *given, **more)

    monkeypatch.setattr(program, "sync", reading)
    worked = inbox.work()
    assert [entity.name for _, entity, _ in worked.reads] == ["contacts", "contact_to_deal_associations"]
    assert seen == [("contact_to_deal_associations", "done")]
    assert inbox.row(pairs)["status"] == "done"


def test_a_list_whose_read_fails_is_not_read_again_for_each_delivery(
    contacts: SourceHarness, inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    contacts.simulator.set_fault("unauthorized")
    for number in range(3):
        inbox.put(
            b'[{"eventId":%d,"subscriptionType":"contact.associationChange","associationType":"CONTACT_TO_DEAL",'
            b'"fromObjectId":1,"toObjectId":%d}]' % (number, number)
        )
        assert dict(inbox.work().rows) == ({"waiting": 1} if number else {"retried": 1})
    rows = (
        looking(inbox.url)
        .execute(
            "SELECT count(*) AS tries FROM orchestration.sync_history WHERE sync_type = 'contact_to_deal_associations'"
        )
        .fetchone()
    )
    assert rows == {"tries": 1}


def test_rows_wait_while_another_run_holds_their_entity(contacts: SourceHarness, inbox: Inbox) -> None:
    """No try is counted, and no refused run is written."""
    first, *_ = contacts.simulator.ids("contacts")
    key = inbox.put(events(contact_event(first)))
    with lease.hold(contacts.url, contacts.source, contacts.entity):
        assert dict(inbox.work().rows) == {"waiting": 1}
    assert (inbox.row(key)["status"], inbox.row(key)["attempts"]) == ("pending", 0)
    assert len(contacts.history()) == 1
    inbox.make_due()
    assert dict(inbox.work().rows) == {"done": 1}


def test_two_never_work_at_the_same_time(inbox: Inbox) -> None:
    inbox.put(events(contact_event(7, "ticket.creation")))
    with warehouse.session(inbox.url) as session, webhook_inbox.working(session, "hubspot") as mine:
        assert mine
        assert work(SOURCES, url=inbox.url) is None
    assert inbox.work().taken == 1


def test_what_waits_for_a_list_has_its_keys_read_once(contacts: SourceHarness, inbox: Inbox) -> None:
    """However often it is taken while another one reads lists of the source; once more when it comes again."""
    first, *_ = contacts.simulator.ids("contacts")
    pair = {"subscriptionType": "contact.associationChange", "associationType": "CONTACT_TO_DEAL"}
    key = inbox.put(events(contact_event(first), {**contact_event(first), **pair}))
    again = "UPDATE orchestration.webhook_inbox SET received_at = clock_timestamp()"
    with warehouse.session(inbox.url) as session, webhook_inbox.working(session, "hubspot", lists=True):
        for came_again in (True, False, True, False):
            if came_again:
                looking(inbox.url).execute(again)
            worked = inbox.work()
            assert [entity.name for _, entity, _ in worked.reads] == ["contacts"] * came_again
            assert (worked.taken, worked.closed, dict(worked.rows)) == (1, 0, {"waiting": 1})
            assert inbox.row(key)["not_before"] > datetime.now(UTC) + timedelta(seconds=20)
            inbox.make_due()
    worked = inbox.work()
    assert [entity.name for _, entity, _ in worked.reads] == ["contact_to_deal_associations"]
    assert (worked.closed, inbox.row(key)["status"]) == (1, "done")


def test_what_no_reader_expects_is_tried_again_and_holds_up_no_other(
    contacts: SourceHarness, inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, *_ = contacts.simulator.ids("contacts")
    read = Vendor.read

    def reading(vendor: Vendor, delivery: Delivery) -> Events:
        if b"ann@" in delivery.body:
            raise KeyError(delivery.body)
        return read(vendor, delivery)

    monkeypatch.setattr(Vendor, "read", reading)
    odd, good = inbox.put(b'["ann@example.test"]'), inbox.put(events(contact_event(first)))
    worked = inbox.work()
    assert dict(worked.rows) == {"done": 1, "retried": 1}
    assert (inbox.row(odd)["status"], inbox.row(odd)["attempts"], inbox.row(good)["status"]) == ("pending", 1, "done")
    assert worked.failures == [inbox.row(odd)["error_message"]]
    assert "could not be read: KeyError at serving/test_work.py:" in worked.failures[0]


def test_a_merge_has_survivor_and_absorbed_read(contacts: SourceHarness, inbox: Inbox) -> None:
    primary, absorbed, *_ = contacts.simulator.ids("contacts")
    survivor = contacts.simulator.merge("contacts", primary, absorbed, new_id=True)
    more = {"primaryObjectId": int(primary), "mergedObjectIds": [int(absorbed)], "newObjectId": int(survivor)}
    inbox.put(events(contact_event(primary, "contact.merge", **more)))
    inbox.work()
    rows = contacts.rows()
    assert not rows[survivor,]["archived"]
    assert {rows[key,]["delete_reason"] for key in (primary, absorbed)} == {f"merged into {survivor}"}


def test_a_custom_object_is_read_by_delta_unless_a_setting_names_its_type(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ids are unique within a type only, so a guess could bury the row of another."""
    with synced("hubspot_division", database_url, monkeypatch) as harness:
        inbox = Inbox(database_url, "hubspot")
        key, *_ = harness.simulator.ids("divisions")
        harness.simulator.edit("divisions", key, {"region": "far"})
        event = contact_event(key, "object.propertyChange", objectTypeId="2-37000002")
        monkeypatch.setenv("HUBSPOT_DIVISION_OBJECT", "2-37000002")
        inbox.put(events(event))
        worked = inbox.work()
        assert [(entity.name, result.mode) for _, entity, result in worked.reads] == [("divisions", "webhook")]
        assert harness.rows()[key,]["region"] == "far"
        monkeypatch.delenv("HUBSPOT_DIVISION_OBJECT")
        row = inbox.put(events({**event, "occurredAt": 1}))
        assert dict(inbox.work().rows) == {"waiting": 1}, "divisions were polled seconds ago: they wait for their turn"
        looking(database_url).execute(
            "UPDATE orchestration.sync_history SET start_time = start_time - interval '1 minute',"
            " end_time = end_time - interval '1 minute'"
        )
        inbox.make_due()
        worked = inbox.work()
        assert [entity.name for _, entity, _ in worked.reads] == ["divisions"], "the others were never read"
        assert inbox.row(row)["status"] == "done"


@pytest.mark.parametrize("has_custom", [False, True])
def test_hubspots_own_appointment_is_read_where_the_portal_has_no_custom_object_for_it(
    database_url: str, monkeypatch: pytest.MonkeyPatch, has_custom: bool
) -> None:
    """Of one that has, the id may be that of another record, or of none, which would count as deleted for good."""
    kind = "custom" if has_custom else "standard"
    with source_harness("hubspot_appointment", database_url, monkeypatch, appointment=kind) as harness:
        if not has_custom:
            monkeypatch.setattr(
                harness.simulator._description, "schemas", lambda which: answer_json(200, {"results": []})
            )
        harness.sync()
        inbox = Inbox(database_url, "hubspot")
        key, *_ = harness.simulator.ids("appointments")
        harness.simulator.edit("appointments", key, {"city": "Nowhere"})
        event = contact_event(key, "object.propertyChange", objectTypeId="0-421")
        row = inbox.put(events(event, {**event, "objectId": 4_000_000_000}))
        worked = inbox.work()
        assert [(entity.name, result.mode) for _, entity, result in worked.reads] == [("appointments", "webhook")]
        assert inbox.row(row)["status"] == "done"
        assert (harness.rows()[key,]["city"] == "Nowhere") is not has_custom
        assert len(harness.living()) == len(harness.rows())
        other = inbox.put(events(contact_event(key, "object.creation", objectTypeId="0-5")))
        unknown = inbox.put(events(contact_event(key, "object.creation", objectTypeId="2-999")))
        looking(database_url).execute("UPDATE orchestration.sync_history SET start_time = start_time - interval '1 h'")
        worked = inbox.work()
        assert [(entity.name, result.mode) for _, entity, result in worked.reads] == [("appointments", "delta")]
        assert (inbox.row(other)["status"], inbox.row(unknown)["status"]) == ("ignored", "done")
        assert {run["status"] for run in harness.history()} == {"success"}


def test_what_waits_for_a_busy_entity_comes_behind_what_nobody_has_looked_at(
    contacts: SourceHarness, inbox: Inbox
) -> None:
    """However many they are, and however often they are due again. Those that came long ago wait for longer."""
    first, *_ = contacts.simulator.ids("contacts")
    company, *_ = contacts.simulator.ids("companies")
    old, *others = (inbox.put(events(contact_event(first, occurredAt=number))) for number in range(3))
    connection = looking(inbox.url)
    connection.execute(
        "UPDATE orchestration.webhook_inbox SET received_at = received_at - interval '1 h' WHERE id = %s", [old]
    )
    with lease.hold(contacts.url, contacts.source, contacts.entity):
        assert dict(inbox.work(limit=3).rows) == {"waiting": 3}
        waits = [(inbox.row(key)["not_before"] - datetime.now(UTC)).total_seconds() for key in (old, *others)]
        assert waits[0] > 50
        assert max(waits[1:]) < 4
        other = inbox.put(events(contact_event(company, "company.creation")))
        connection.execute("UPDATE orchestration.webhook_inbox SET not_before = now() WHERE id <> %s", [other])
        assert dict(inbox.work(limit=1).rows) == {"done": 1}
    assert inbox.row(other)["status"] == "done"


def test_deliveries_wait_for_a_spent_budget_and_those_that_were_read_before_are_done(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No try is counted, and nothing hangs for the hour that the budget takes to come back."""
    with source_harness("callrail_call", database_url, monkeypatch) as harness:
        monkeypatch.setenv("CALLRAIL_REQUESTS_PER_HOUR", "6")
        inbox = Inbox(database_url, "callrail")
        keys = harness.simulator.ids("calls")[:12]
        rows = [inbox.put(b'{"resource_id":"%s","duration":"143"}' % key.encode()) for key in keys]
        worked = inbox.work()
        found = [inbox.row(row) for row in rows]
        done = [row for row in found if row["status"] == "done"]
        late = [row for row in found if row["status"] == "pending"]
        assert 0 < len(done) == len(harness.living()) < 6
        assert dict(worked.rows) == {"done": len(done), "waiting": len(late)}
        assert {row["attempts"] for row in late} == {0}
        assert all(row["not_before"] > row["received_at"] + timedelta(minutes=50) for row in late)
        assert f"spent before {len(late)} of 12 keys" in late[0]["error_message"]
        again = inbox.put(b'{"resource_id":"%s","duration":"144"}' % keys[0].encode())
        assert dict(inbox.work().rows) == {"waiting": 1}
        assert "the next request is free in" in inbox.row(again)["error_message"]


def test_a_delta_that_began_after_the_delivery_counts_by_the_clock_of_postgresql(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Ahead(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> "Ahead":
            return cls.fromtimestamp(time.time() + 3600, tz)

    monkeypatch.setattr(lease, "datetime", Ahead)
    with synced("callrail_text_message", database_url, monkeypatch) as harness:
        inbox = Inbox(database_url, "callrail")
        first, *_ = harness.simulator.ids("text_messages")
        harness.simulator.message(first, "a new one")
        body = b'{"resource_id":"%s","content":"a new one"}' % first.encode()
        early = inbox.put(body)
        assert dict(inbox.work().rows) == {"waiting": 1}, "the entity was polled just now"
        harness.sync()
        late = inbox.put(body)
        inbox.make_due()
        worked = inbox.work()
        assert (dict(worked.rows), worked.reads) == ({"done": 1, "waiting": 1}, [])
        assert (inbox.row(early)["status"], inbox.row(late)["status"]) == ("done", "pending")
        assert harness.rows()[first,]["recent_messages"][-1]["content"] == "a new one"


@pytest.mark.parametrize(
    ("table", "body", "what"),
    [
        ("callrail_call", '{{"resource_id":"{key}","duration":"143"}}', "calls"),
        ("callrail_form_submission", '{{"id":"{key}","form_url":"https://x.test"}}', "form_submissions"),
        ("arrivy_task", '{{"EVENT_ID":1,"OBJECT_TYPE":"TASK","OBJECT_ID":{key}}}', "tasks"),
        ("arrivy_booking", '{{"EVENT_ID":1,"OBJECT_TYPE":"BOOKING","OBJECT_ID":{key}}}', "bookings"),
    ],
)
def test_other_vendors_records_are_read_by_key(
    database_url: str, monkeypatch: pytest.MonkeyPatch, table: str, body: str, what: str
) -> None:
    with synced(table, database_url, monkeypatch) as harness:
        first, *_ = harness.simulator.ids(harness.entity.path.removesuffix(".json"))
        inbox = Inbox(database_url, harness.source.name)
        key = inbox.put(body.format(key=first).encode())
        worked = inbox.work()
        assert [(entity.name, result.mode, result.processed) for _, entity, result in worked.reads] == [
            (what, "webhook", 1)
        ]
        assert inbox.row(key)["status"] == "done"


def test_a_record_that_the_vendor_refuses_holds_up_no_other(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its delivery is tried again; those of the same read that were answered are done."""
    with synced("arrivy_task", database_url, monkeypatch) as harness:
        refused, other = harness.simulator.ids("tasks")[:2]
        harness.simulator.set_fault("status", path=f"/tasks/{refused}", status=400)
        inbox = Inbox(database_url, "arrivy")
        rows = [inbox.put(b'{"OBJECT_TYPE":"TASK","OBJECT_ID":%s}' % key.encode()) for key in (refused, other, refused)]
        worked = inbox.work()
        assert [result.processed for _, _, result in worked.reads] == [1]
        assert [inbox.row(key)["status"] for key in rows] == ["pending", "done", "pending"]
        assert "1 of 2 keys were refused" in inbox.row(rows[0])["error_message"]


def test_leadconduit_says_only_that_there_is_news(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with source_harness("leadconduit_lead", database_url, monkeypatch) as harness:
        inbox = Inbox(database_url, "leadconduit")
        inbox.put(b"lead_id=1&anything=the+customer+chose")
        worked = inbox.work()
        assert {entity.name for _, entity, _ in worked.reads} == {"events", "leads"}
        assert dict(worked.rows) == {"done": 1}
        assert harness.living()


def test_google_says_which_service_has_news(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with source_harness("pipedesk.calendar_events", database_url, monkeypatch) as harness:
        inbox = Inbox(database_url, "google")
        watched = "https://www.googleapis.com/calendar/v3/calendars/a%40b.test/events?alt=json"
        headers = {"x-goog-resource-uri": watched, "x-goog-channel-id": "c", "x-goog-message-number": "1"}
        sync = inbox.put(b"", **headers, **{"x-goog-resource-state": "sync"})
        inbox.put(b"", **headers, **{"x-goog-resource-state": "exists"})
        worked = inbox.work()
        assert inbox.row(sync)["status"] == "ignored"
        assert [entity.name for _, entity, _ in worked.reads] == ["events"]
        assert harness.living()


def test_duplicate_notification_single_fetch(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """However often a channel says that there is news, the list is asked for once."""
    with source_harness("pipedesk.calendar_events", database_url, monkeypatch) as harness:
        inbox = Inbox(database_url, "google")
        watched = {"x-goog-resource-uri": "https://www.googleapis.com/calendar/v3/calendars/a/events"}
        for number in (3, 1, 2, 2):
            inbox.put(b"", **watched, **{"x-goog-resource-state": "exists", "x-goog-message-number": str(number)})
        assert dict(inbox.work().rows) == {"done": 4}
        assert len(harness.history()) == 1


def test_old_rows_are_forgotten_and_others_stay(inbox: Inbox) -> None:
    kept, old, waiting = (inbox.put(events(contact_event(n, "ticket.creation"))) for n in range(3))
    inbox.work()
    connection = looking(inbox.url)
    connection.execute(
        "UPDATE orchestration.webhook_inbox SET processed_at = now() - interval '8 days' WHERE id = %s", [old]
    )
    connection.execute(
        "UPDATE orchestration.webhook_inbox SET status = 'pending', processed_at = NULL,"
        " received_at = now() - interval '90 days' WHERE id = %s",
        [waiting],
    )
    with warehouse.session(inbox.url) as session:
        assert [one.removed for one in retention.run(session, (), only=["webhook_inbox_closed"])] == [1]
    left = connection.execute("SELECT id FROM orchestration.webhook_inbox ORDER BY id").fetchall()
    assert [row["id"] for row in left] == [kept, waiting]

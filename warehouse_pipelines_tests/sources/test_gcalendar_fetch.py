"""What is odd about Google Calendar: sync tokens, deletions that say almost nothing, and ids of a calendar only."""

from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import Any

import pytest

from warehouse_pipelines.errors import AnswerChanged, CursorStuck, PermissionMissing, RequestRefused
from warehouse_pipelines.loading.coerce import Coercer
from warehouse_pipelines.simulators.core.wire import Answer, Listener, Request, answer_json
from warehouse_pipelines.simulators.google.calendar import CREWS
from warehouse_pipelines.sources import gcalendar
from warehouse_pipelines.sources._http import Client
from warehouse_pipelines.sources.gcalendar import EVENTS, GCALENDAR, check
from warehouse_pipelines_tests.harness.fetching import Read, sample
from warehouse_pipelines_tests.harness.source_harness import SourceHarness, source_harness

A, B = CREWS


@pytest.fixture
def it(database_url: str, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[SourceHarness]:
    settings = getattr(request, "param", {})
    with source_harness("pipedesk.calendar_events", database_url, monkeypatch, contacts=90, **settings) as one:
        yield one


def of(**settings: Any) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("it", [settings], indirect=True, ids=str)


def read(**how: Any) -> Read:
    return Read(GCALENDAR, EVENTS, **how)


def queries(it: SourceHarness) -> list[dict[str, list[str]]]:
    return [entry["query"] for entry in it.simulator.requests()["log"] if entry["path"].endswith("/events")]


def states(it: SourceHarness) -> list[Any]:
    return [row["configuration"].get("state") for row in it.history()]


def test_deleted_event_becomes_cancelled(it: SourceHarness) -> None:
    """The row stays and so does what was known, though the answer has nothing but id and status."""
    it.sync()
    key = (A, it.simulator.event_ids(A)[3])
    before = it.rows()[key]
    it.simulator.delete_event(*key)
    result = it.sync()
    row = it.rows()[key]
    assert (result.mode, result.processed, result.deleted) == ("delta", 1, 1)
    assert (row["status"], row["archived"], row["delete_reason"]) == ("cancelled", True, "archived")
    known = before.keys() - {"status", "archived", "deleted_at", "delete_reason", "sync_hash", "sync_updated_at"}
    for name in known - {"raw_data", "xmin"}:
        assert row[name] == before[name], name
    assert row["raw_data"] == {**before["raw_data"], "status": "cancelled"}


def test_an_event_of_two_calendars_is_two_rows(it: SourceHarness) -> None:
    """Guests have the same event id, and one of them may decline."""
    it.sync()
    event_id = it.simulator.event_ids(B)[0]
    assert {(A, event_id), (B, event_id)} <= it.rows().keys()
    it.simulator.edit_event(A, event_id, summary="Of crew A")
    it.sync()
    it.simulator.delete_event(B, event_id)
    it.sync()
    rows = it.rows()
    assert (rows[A, event_id]["status"], rows[B, event_id]["status"]) == ("confirmed", "cancelled")
    assert rows[B, event_id]["summary"] != "Of crew A"


def test_sync_token_saved_only_after_last_page(it: SourceHarness) -> None:
    """It is saved with the data; a run that breaks off between two pages asks again from the same place."""
    it.sync()
    for _ in range(5):
        it.simulator.create_event(A, summary="New")
    first = states(it)[-1]
    it.simulator.set_fault("status", path="/events", after=1, status=400)
    with pytest.raises(RequestRefused):
        it.sync(batch_size=2)
    it.simulator.clear_faults()
    assert len(it.rows()) == len(it.driver.keys(it.entity)) - 5
    it.simulator.reset_counters()
    result = it.sync(batch_size=2)
    assert result.created == 5
    assert {query["syncToken"][0] for query in queries(it)} == set(first.values())
    assert "pageToken" not in queries(it)[0]
    assert states(it)[-1] != first
    assert it.sync().processed == 0


def test_410_full_resync_cancels_missing(it: SourceHarness) -> None:
    """One refused token makes all calendars be listed anew; what is not there any more is cancelled."""
    it.sync()
    gone, made = (B, it.simulator.event_ids(B)[2]), it.simulator.create_event(B, summary="New")
    it.simulator.erase_event(*gone)
    it.simulator.invalidate_sync_tokens(B)
    result = it.sync()
    assert (result.mode, result.status, result.created, result.deleted) == ("full", "success", 1, 1)
    row = it.rows()[gone]
    assert (row["status"], row["archived"], row["delete_reason"]) == ("cancelled", True, "missing")
    assert (B, made) in it.living()
    assert it.history()[-1]["performance_metrics"]["noticed"] == {"sync_token_refused": B}
    assert it.sync().mode == "delta"


def test_a_calendar_that_is_new_is_listed_and_the_others_asked_for_changes(
    it: SourceHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GCALENDAR_IDS", A)
    it.sync()
    monkeypatch.setenv("GCALENDAR_IDS", f"{A}, {B},{A}")
    result = it.sync()
    assert (result.mode, result.processed, result.deleted) == ("delta", len(it.simulator.event_ids(B)), 0)
    assert it.living() == it.driver.keys(it.entity)
    assert it.sync().processed == 0


def test_a_calendar_that_is_no_longer_named_is_gone(it: SourceHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    it.sync()
    monkeypatch.setenv("GCALENDAR_IDS", A)
    result = it.sync()
    assert (result.mode, result.deleted) == ("full", len(it.simulator.event_ids(B)))
    assert {calendar for calendar, _ in it.living()} == {A}


@of(empty_pages=True)
def test_an_empty_page_is_not_the_end(it: SourceHarness) -> None:
    it.sync(batch_size=7)
    assert it.living() == it.driver.keys(it.entity)


@of(bare_stubs=False)
def test_a_deleted_event_may_come_whole(it: SourceHarness) -> None:
    it.sync()
    key = (A, it.simulator.event_ids(A)[3])
    it.simulator.delete_event(*key)
    assert it.sync().deleted == 1
    assert it.rows()[key]["summary"]


def test_a_series_is_kept_with_its_exceptions(it: SourceHarness) -> None:
    it.sync()
    series = it.query("SELECT * FROM pipedesk.calendar_events WHERE recurrence IS NOT NULL")
    moved = it.query("SELECT * FROM pipedesk.calendar_events WHERE recurring_event_id IS NOT NULL")
    assert series
    assert {row["recurring_event_id"] for row in moved} <= {row["google_event_id"] for row in series}
    assert all(row["original_start_time"] for row in moved)
    instance = it.simulator.cancel_instance(A, series[0]["google_event_id"], "2026-05-05T13:00:00Z")
    it.sync()
    row = it.rows()[A, instance]
    assert (row["status"], row["archived"]) == ("cancelled", True)
    assert row["start_time"] == row["original_start_time"] == datetime(2026, 5, 5, 13, tzinfo=UTC)


def test_the_same_parameters_are_sent_every_time(it: SourceHarness) -> None:
    it.sync()
    it.sync()
    assert not any({"timeMin", "timeMax", "orderBy", "showDeleted"} & query.keys() for query in queries(it))
    assert {query["singleEvents"][0] for query in queries(it)} == {"false"}


@pytest.mark.parametrize("fault", ["repeat_page", "endless"])
def test_a_list_without_an_end_is_stopped(it: SourceHarness, fault: str) -> None:
    it.simulator.set_fault(fault, path="/events")
    with pytest.raises(CursorStuck):
        read(page_size=10).finished()


def test_an_answer_without_its_list_is_no_empty_calendar(it: SourceHarness) -> None:
    it.simulator.set_fault("missing_list", path="/events")
    with pytest.raises(AnswerChanged):
        read().finished()


def test_where_no_calendar_is_shared_the_run_fails(it: SourceHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "2 calendar(s)" in check()
    monkeypatch.setenv("GCALENDAR_IDS", f"{A},stranger@example.test")
    with pytest.raises(PermissionMissing, match=r"1 of 2 calendars cannot be read.*stranger@example\.test.*404"):
        check()
    monkeypatch.setenv("GCALENDAR_IDS", "stranger@example.test")
    with pytest.raises(RequestRefused, match="404"):
        it.sync()


def test_a_calendar_that_is_not_shared_costs_only_itself(it: SourceHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    """One of three answers 404 from the first run on; the others are loaded, and then asked for their changes."""
    stranger = "stranger@example.test"
    monkeypatch.setenv("GCALENDAR_IDS", f"{A},{stranger},{B}")
    result = it.sync()
    assert (result.status, it.living()) == ("partial", it.driver.keys(it.entity))
    assert f"1 of 3 calendars cannot be read: {stranger}" in str(result.reason)
    key = (A, it.simulator.event_ids(A)[1])
    it.simulator.delete_event(*key)
    it.simulator.edit_event(B, it.simulator.event_ids(B)[0], summary="Edited")
    result = it.sync()
    assert (result.status, result.mode, result.processed) == ("partial", "delta", 2)
    assert (result.updated, result.deleted) == (2, 1)
    assert it.living() == it.driver.keys(it.entity)


@pytest.mark.parametrize("status", [404, 403])
def test_the_rows_of_a_calendar_that_is_shared_no_more_stay(it: SourceHarness, status: int) -> None:
    """What the others no longer have is tombstoned all the same, and its own when it is back."""
    it.sync()
    before = it.living()
    gone, hidden = (A, it.simulator.event_ids(A)[2]), (B, it.simulator.event_ids(B)[2])
    it.simulator.unshare_calendar(B, status=status)
    assert (it.sync().status, it.living()) == ("partial", before)
    it.simulator.erase_event(*gone)
    it.simulator.erase_event(*hidden)
    result = it.sync(full=True)
    assert (result.status, result.deleted) == ("partial", 1)
    assert B in str(result.reason)
    assert it.living() == before - {gone}
    assert it.rows()[gone]["status"] == "cancelled"

    it.simulator.share_calendar(B)
    result = it.sync()
    assert (result.status, result.mode, result.deleted) == ("success", "delta", 1)
    assert it.living() == before - {gone, hidden} == it.driver.keys(it.entity)


def test_a_calendar_that_is_back_is_asked_from_where_it_was_left(
    it: SourceHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its token is refused then; and one that is taken out of the setting instead takes its rows along."""
    it.sync()
    before = it.living()
    hidden = (B, it.simulator.event_ids(B)[2])
    it.simulator.unshare_calendar(B)
    it.simulator.erase_event(*hidden)
    it.sync()
    it.simulator.share_calendar(B)
    result = it.sync()
    assert (result.status, result.mode, result.deleted) == ("success", "full", 1)
    assert it.living() == before - {hidden}
    it.simulator.unshare_calendar(B)
    assert it.sync().status == "partial"
    monkeypatch.setenv("GCALENDAR_IDS", A)
    assert it.sync().status == "success"
    assert {calendar for calendar, _ in it.living()} == {A}


def test_a_time_of_the_year_0_costs_neither_the_event_nor_the_deletions(
    it: SourceHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four events, one of them of a date that Google makes up; two others go, and the sync token with them."""
    monkeypatch.setenv("GCALENDAR_IDS", B)
    made, *others = it.simulator.event_ids(B)[:4]
    for event in it.simulator.event_ids(B)[4:]:
        it.simulator.erase_event(B, event)
    it.simulator.edit_event(B, made, created="0000-12-31T00:00:00.000Z")
    result = it.sync()
    assert (result.status, result.created) == ("success", 4)
    row = it.rows()[B, made]
    assert (row["created_at"], row["raw_data"]["created"]) == (None, "0000-12-31T00:00:00.000Z")
    assert it.history()[-1]["performance_metrics"]["warnings"]["warn:created_at"] == 1

    it.simulator.erase_event(B, others[0])
    it.simulator.erase_event(B, others[1])
    it.simulator.invalidate_sync_tokens(B)
    result = it.sync()
    assert (result.status, result.mode, result.deleted) == ("success", "full", 2)
    it.simulator.erase_event(B, others[2])
    assert it.sync(full=True).deleted == 1
    assert it.living() == {(B, made)}


def test_an_event_without_a_begin_is_loaded(it: SourceHarness) -> None:
    event = it.simulator.create_event(A, summary="Some day", start={}, end={})
    it.sync()
    row = it.rows()[A, event]
    assert (row["summary"], row["start_time"], row["end_time"]) == ("Some day", None, None)


def test_the_documented_answer_is_read_as_the_notes_say(it: SourceHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    def answer(request: Request) -> Answer:
        return answer_json(200, sample("google_events"))

    listener = Listener("127.0.0.1", 0, answer)
    monkeypatch.setenv("GCALENDAR_IDS", "crew@example.test")
    monkeypatch.setattr(
        gcalendar,
        "client",
        lambda extraction, title, scopes: Client(extraction, title=title, base_url=listener.url, headers={}),
    )
    try:
        reading = read().finished()
    finally:
        listener.close()
    coercer = Coercer("gcalendar", EVENTS)
    records = [record for page in reading._seen for record in page.records]
    first, stub = coercer.table(records).to_pylist()
    assert coercer.rejects == []
    assert (first["calendar_id"], first["google_event_id"], first["summary"]) == (
        "crew@example.test",
        "ev1",
        "Inspection",
    )
    assert first["start_time"] == datetime(2026, 5, 5, 13, tzinfo=UTC)
    assert (stub["google_event_id"], stub["archived"], stub["summary"]) == ("ev0", True, None)
    assert reading.extraction.next_state == {"crew@example.test": "CPj...="}


def test_an_all_day_event_ends_before_its_end(it: SourceHarness) -> None:
    it.sync()
    rows = it.query("SELECT * FROM pipedesk.calendar_events WHERE start_date IS NOT NULL")
    assert rows
    assert all(isinstance(row["end_date"], date) and row["end_date"] > row["start_date"] for row in rows)

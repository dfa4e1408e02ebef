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
def harness(
    database_url: str, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Iterator[SourceHarness]:
    settings = getattr(request, "param", {})
    with source_harness("pipedesk.calendar_events", database_url, monkeypatch, contacts=90, **settings) as one:
        yield one


def of(**settings: Any) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("harness", [settings], indirect=True, ids=str)


def read(**how: Any) -> Read:
    return Read(GCALENDAR, EVENTS, **how)


def queries(harness: SourceHarness) -> list[dict[str, list[str]]]:
    return [entry["query"] for entry in harness.simulator.requests()["log"] if entry["path"].endswith("/events")]


def states(harness: SourceHarness) -> list[Any]:
    return [row["configuration"].get("state") for row in harness.history()]


def test_deleted_event_becomes_cancelled(harness: SourceHarness) -> None:
    """The row stays and so does what was known, though the answer has nothing but id and status."""
    harness.sync()
    key = (A, harness.simulator.event_ids(A)[3])
    before = harness.rows()[key]
    harness.simulator.delete_event(*key)
    result = harness.sync()
    row = harness.rows()[key]
    assert (result.mode, result.processed, result.deleted) == ("delta", 1, 1)
    assert (row["status"], row["archived"], row["delete_reason"]) == ("cancelled", True, "archived")
    known = before.keys() - {"status", "archived", "deleted_at", "delete_reason", "sync_hash", "sync_updated_at"}
    for name in known - {"raw_data", "xmin"}:
        assert row[name] == before[name], name
    etag = row["raw_data"]["etag"]
    assert row["raw_data"] == {**before["raw_data"], "status": "cancelled", "etag": etag}


def test_an_event_of_two_calendars_is_two_rows(harness: SourceHarness) -> None:
    """Guests have the same event id, and one of them may decline."""
    harness.sync()
    event_id = harness.simulator.event_ids(B)[0]
    assert {(A, event_id), (B, event_id)} <= harness.rows().keys()
    harness.simulator.edit_event(A, event_id, summary="Of crew A")
    harness.sync()
    harness.simulator.delete_event(B, event_id)
    harness.sync()
    rows = harness.rows()
    assert (rows[A, event_id]["status"], rows[B, event_id]["status"]) == ("confirmed", "cancelled")
    assert rows[B, event_id]["summary"] != "Of crew A"


def test_sync_token_saved_only_after_last_page(harness: SourceHarness) -> None:
    """It is saved with the data; a run that breaks off between two pages asks again from the same place."""
    harness.sync()
    for _ in range(5):
        harness.simulator.create_event(A, summary="New")
    first = states(harness)[-1]
    harness.simulator.set_fault("status", path="/events", after=1, status=400)
    with pytest.raises(RequestRefused):
        harness.sync(batch_size=2)
    harness.simulator.clear_faults()
    assert len(harness.rows()) == len(harness.driver.keys(harness.entity)) - 5
    harness.simulator.reset_counters()
    result = harness.sync(batch_size=2)
    assert result.created == 5
    assert {query["syncToken"][0] for query in queries(harness)} == set(first.values())
    assert "pageToken" not in queries(harness)[0]
    assert states(harness)[-1] != first
    assert harness.sync().processed == 0


def test_410_full_resync_cancels_missing(harness: SourceHarness) -> None:
    """One refused token makes all calendars be listed anew; what is not there any more is cancelled."""
    harness.sync()
    removed, made = (B, harness.simulator.event_ids(B)[2]), harness.simulator.create_event(B, summary="New")
    harness.simulator.erase_event(*removed)
    harness.simulator.invalidate_sync_tokens(B)
    result = harness.sync()
    assert (result.mode, result.status, result.created, result.deleted) == ("full", "success", 1, 1)
    row = harness.rows()[removed]
    assert (row["status"], row["archived"], row["delete_reason"]) == ("cancelled", True, "missing")
    assert (B, made) in harness.living()
    assert harness.history()[-1]["performance_metrics"]["noticed"] == {"sync_token_refused": B}
    assert harness.sync().mode == "delta"


def test_a_calendar_that_is_new_is_listed_and_the_others_asked_for_changes(
    harness: SourceHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GCALENDAR_IDS", A)
    harness.sync()
    monkeypatch.setenv("GCALENDAR_IDS", f"{A}, {B},{A}")
    result = harness.sync()
    assert (result.mode, result.processed, result.deleted) == ("delta", len(harness.simulator.event_ids(B)), 0)
    assert harness.living() == harness.driver.keys(harness.entity)
    assert harness.sync().processed == 0


def test_a_calendar_that_is_no_longer_named_is_gone(harness: SourceHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    harness.sync()
    monkeypatch.setenv("GCALENDAR_IDS", A)
    result = harness.sync()
    assert (result.mode, result.deleted) == ("full", len(harness.simulator.event_ids(B)))
    assert {calendar for calendar, _ in harness.living()} == {A}


@pytest.mark.parametrize("fault", ["rate_limit", "status", "reset", "truncated"])
def test_calendars_are_read_side_by_side_and_lose_nothing(harness: SourceHarness, fault: str) -> None:
    harness.simulator.set_fault("slow", path="/events", seconds=0.02)
    harness.simulator.set_fault(fault, path="/events", every=3)
    result = harness.sync(batch_size=15)
    assert (result.status, result.failed) == ("success", 0)
    assert harness.rows().keys() == harness.driver.keys(harness.entity)
    assert harness.simulator.requests()["peak_concurrency"] > 1
    assert states(harness)[-1].keys() == {A, B}


def test_a_limited_read_has_one_request_in_flight(harness: SourceHarness) -> None:
    harness.sync(batch_size=2, max_records=4)
    assert harness.simulator.requests()["peak_concurrency"] == 1


@of(empty_pages=True)
def test_an_empty_page_is_not_the_end(harness: SourceHarness) -> None:
    harness.sync(batch_size=7)
    assert harness.living() == harness.driver.keys(harness.entity)


@of(bare_stubs=False)
def test_a_deleted_event_may_come_whole(harness: SourceHarness) -> None:
    harness.sync()
    key = (A, harness.simulator.event_ids(A)[3])
    harness.simulator.delete_event(*key)
    assert harness.sync().deleted == 1
    assert harness.rows()[key]["summary"]


def test_a_series_is_kept_with_its_exceptions(harness: SourceHarness) -> None:
    harness.sync()
    series = harness.query("SELECT * FROM pipedesk.calendar_events WHERE recurrence IS NOT NULL")
    moved = harness.query("SELECT * FROM pipedesk.calendar_events WHERE recurring_event_id IS NOT NULL")
    assert series
    assert {row["recurring_event_id"] for row in moved} <= {row["google_event_id"] for row in series}
    assert all(row["original_start_time"] for row in moved)
    instance = harness.simulator.cancel_instance(A, series[0]["google_event_id"], "2026-05-05T13:00:00Z")
    harness.sync()
    row = harness.rows()[A, instance]
    assert (row["status"], row["archived"]) == ("cancelled", True)
    assert row["start_time"] == row["original_start_time"] == datetime(2026, 5, 5, 13, tzinfo=UTC)


def test_the_same_parameters_are_sent_every_time(harness: SourceHarness) -> None:
    harness.sync()
    harness.sync()
    assert not any({"timeMin", "timeMax", "orderBy", "showDeleted"} & query.keys() for query in queries(harness))
    assert {query["singleEvents"][0] for query in queries(harness)} == {"false"}


@pytest.mark.parametrize("fault", ["repeat_page", "endless"])
def test_a_list_without_an_end_is_stopped(harness: SourceHarness, fault: str) -> None:
    harness.simulator.set_fault(fault, path="/events")
    with pytest.raises(CursorStuck):
        read(page_size=10).finished()


def test_an_answer_without_its_list_is_no_empty_calendar(harness: SourceHarness) -> None:
    harness.simulator.set_fault("missing_list", path="/events")
    with pytest.raises(AnswerChanged):
        read().finished()


def test_where_no_calendar_is_shared_the_run_fails(harness: SourceHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "2 calendar(s)" in check()
    monkeypatch.setenv("GCALENDAR_IDS", f"{A},stranger@example.test")
    with pytest.raises(PermissionMissing, match=r"1 of 2 calendars cannot be read.*stranger@example\.test.*404"):
        check()
    monkeypatch.setenv("GCALENDAR_IDS", "stranger@example.test")
    with pytest.raises(RequestRefused, match="404"):
        harness.sync()


def test_a_calendar_that_is_not_shared_costs_only_itself(
    harness: SourceHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One of three answers 404 from the first run on; the others are loaded, and then asked for their changes."""
    stranger = "stranger@example.test"
    monkeypatch.setenv("GCALENDAR_IDS", f"{A},{stranger},{B}")
    result = harness.sync()
    assert (result.status, harness.living()) == ("partial", harness.driver.keys(harness.entity))
    assert f"1 of 3 calendars cannot be read: {stranger}" in str(result.reason)
    key = (A, harness.simulator.event_ids(A)[1])
    harness.simulator.delete_event(*key)
    harness.simulator.edit_event(B, harness.simulator.event_ids(B)[0], summary="Edited")
    result = harness.sync()
    assert (result.status, result.mode, result.processed) == ("partial", "delta", 2)
    assert (result.updated, result.deleted) == (2, 1)
    assert harness.living() == harness.driver.keys(harness.entity)


@pytest.mark.parametrize("status", [404, 403])
@pytest.mark.slow("rarer behaviour of a vendor")
def test_the_rows_of_a_calendar_that_is_shared_no_more_stay(harness: SourceHarness, status: int) -> None:
    """What the others no longer have is tombstoned all the same, and its own when it is back."""
    harness.sync()
    before = harness.living()
    removed, hidden = (A, harness.simulator.event_ids(A)[2]), (B, harness.simulator.event_ids(B)[2])
    harness.simulator.unshare_calendar(B, status=status)
    assert (harness.sync().status, harness.living()) == ("partial", before)
    harness.simulator.erase_event(*removed)
    harness.simulator.erase_event(*hidden)
    result = harness.sync(full=True)
    assert (result.status, result.deleted) == ("partial", 1)
    assert B in str(result.reason)
    assert harness.living() == before - {removed}
    assert harness.rows()[removed]["status"] == "cancelled"

    harness.simulator.share_calendar(B)
    result = harness.sync()
    assert (result.status, result.mode, result.deleted) == ("success", "delta", 1)
    assert harness.living() == before - {removed, hidden} == harness.driver.keys(harness.entity)


@pytest.mark.slow("rarer behaviour of a vendor")
def test_a_calendar_that_is_back_is_asked_from_where_it_was_left(
    harness: SourceHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its token is refused then; and one that is taken out of the setting instead takes its rows along."""
    harness.sync()
    before = harness.living()
    hidden = (B, harness.simulator.event_ids(B)[2])
    harness.simulator.unshare_calendar(B)
    harness.simulator.erase_event(*hidden)
    harness.sync()
    harness.simulator.share_calendar(B)
    result = harness.sync()
    assert (result.status, result.mode, result.deleted) == ("success", "full", 1)
    assert harness.living() == before - {hidden}
    harness.simulator.unshare_calendar(B)
    assert harness.sync().status == "partial"
    monkeypatch.setenv("GCALENDAR_IDS", A)
    assert harness.sync().status == "success"
    assert {calendar for calendar, _ in harness.living()} == {A}


def test_a_time_of_the_year_0_costs_neither_the_event_nor_the_deletions(
    harness: SourceHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four events, one of them of a date that Google makes up; two others go, and the sync token with them."""
    monkeypatch.setenv("GCALENDAR_IDS", B)
    made, *others = harness.simulator.event_ids(B)[:4]
    for event in harness.simulator.event_ids(B)[4:]:
        harness.simulator.erase_event(B, event)
    harness.simulator.edit_event(B, made, created="0000-12-31T00:00:00.000Z")
    result = harness.sync()
    assert (result.status, result.created) == ("success", 4)
    row = harness.rows()[B, made]
    assert (row["created_at"], row["raw_data"]["created"]) == (None, "0000-12-31T00:00:00.000Z")
    assert harness.history()[-1]["performance_metrics"]["warnings"]["warn:created_at"] == 1

    harness.simulator.erase_event(B, others[0])
    harness.simulator.erase_event(B, others[1])
    harness.simulator.invalidate_sync_tokens(B)
    result = harness.sync()
    assert (result.status, result.mode, result.deleted) == ("success", "full", 2)
    harness.simulator.erase_event(B, others[2])
    assert harness.sync(full=True).deleted == 1
    assert harness.living() == {(B, made)}


def test_an_event_without_a_begin_is_loaded(harness: SourceHarness) -> None:
    event = harness.simulator.create_event(A, summary="Some day", start={}, end={})
    harness.sync()
    row = harness.rows()[A, event]
    assert (row["summary"], row["start_time"], row["end_time"]) == ("Some day", None, None)


def test_the_documented_answer_is_read_as_the_notes_say(
    harness: SourceHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    def answer(request: Request) -> Answer:
        return answer_json(200, sample("google_events"))

    listener = Listener("127.0.0.1", 0, answer)
    monkeypatch.setenv("GCALENDAR_IDS", "crew@example.test")
    monkeypatch.setattr(
        gcalendar,
        "client",
        lambda context, title, scopes: Client(context, title=title, base_url=listener.url, headers={}),
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
    assert reading.report.next_state == {"crew@example.test": "CPj...="}


def test_an_all_day_event_ends_before_its_end(harness: SourceHarness) -> None:
    harness.sync()
    rows = harness.query("SELECT * FROM pipedesk.calendar_events WHERE start_date IS NOT NULL")
    assert rows
    assert all(isinstance(row["end_date"], date) and row["end_date"] > row["start_date"] for row in rows)

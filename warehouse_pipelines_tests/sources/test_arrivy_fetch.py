"""What is odd about Arrivy, read over HTTP from its simulator or from a documented answer."""

import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from click.testing import CliRunner

from warehouse_pipelines.commands import cli
from warehouse_pipelines.errors import (
    AnswerChanged,
    CredentialRefused,
    CursorStuck,
    PermissionMissing,
    RequestRefused,
    SuspiciousRead,
    VendorUnavailable,
)
from warehouse_pipelines.loading.coerce import Coercer
from warehouse_pipelines.loading.keyed import sync_keys
from warehouse_pipelines.loading.options import Options
from warehouse_pipelines.loading.plan import plan
from warehouse_pipelines.loading.request_budget import RequestBudget
from warehouse_pipelines.loading.sync_history import LastGood
from warehouse_pipelines.model.entity import Entity
from warehouse_pipelines.model.reading import Budget
from warehouse_pipelines.simulators.arrivy.simulator import Arrivy
from warehouse_pipelines.simulators.core.wire import Answer, Request, answer_json
from warehouse_pipelines.sources.arrivy import ARRIVY, client
from warehouse_pipelines.sources.arrivy.client import wait_for
from warehouse_pipelines_tests.harness.fetching import Held, Read, sample, served
from warehouse_pipelines_tests.harness.source_harness import SourceHarness, serve_vendor, source_harness

ENTITIES = {entity.name: entity for entity in ARRIVY.entities}
TASKS, BOOKINGS, TEMPLATES = ENTITIES["tasks"], ENTITIES["bookings"], ENTITIES["templates"]


@pytest.fixture
def vendor(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[Arrivy]:
    """A company with 367 tasks that have a time; ``of`` gives settings."""
    settings = {"contacts": 600, **getattr(request, "param", {})}
    with serve_vendor("arrivy", monkeypatch, settings, contacts=settings["contacts"]) as simulators:
        yield simulators.of(Arrivy)


@pytest.fixture
def vendor_answers(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Mapping[str, Any]], None]]:
    """Makes a server of documented answers, by path, the vendor of this test."""
    with ExitStack() as stack:

        def serve(answers: Mapping[str, Any]) -> None:
            monkeypatch.setenv("ARRIVY_AUTH_KEY", "any")
            monkeypatch.setenv("ARRIVY_AUTH_TOKEN", "any")
            monkeypatch.setenv("ARRIVY_BASE_URL", stack.enter_context(served(answers)))

        yield serve


@pytest.fixture
def tasks(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[SourceHarness]:
    with source_harness("arrivy_task", database_url, monkeypatch, contacts=300) as it:
        yield it


def of(**settings: Any) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("vendor", [settings], indirect=True, ids=str)


def read(entity: Entity, since: datetime | None = None, until: datetime | None = None, **how: Any) -> Read:
    ahead = until or datetime.now(UTC) + entity.cadence.lookahead
    return Read(ARRIVY, entity, since, ahead, **how)


def ago(**span: float) -> datetime:
    return datetime.now(UTC) - timedelta(**span)


def queries(vendor: Arrivy, path: str = "/api/tasks") -> list[dict[str, str]]:
    """What was asked of a list, in order."""
    log = vendor.requests()["log"]
    return [{name: values[0] for name, values in entry["query"].items()} for entry in log if entry["path"] == path]


class TestPaging:
    @pytest.mark.parametrize("name", list(ENTITIES))
    @pytest.mark.parametrize("size", [3, None])
    def test_everything_is_read(self, vendor: Arrivy, name: str, size: int | None) -> None:
        assert read(ENTITIES[name], page_size=size).ids == sorted(vendor.ids(name))

    @of(pages_of_small_lists=True)
    def test_a_small_list_that_has_pages_after_all_is_read_to_its_end(self, vendor: Arrivy) -> None:
        for name in ("entities", "statuses", "templates"):
            assert read(ENTITIES[name], page_size=2).ids == sorted(vendor.ids(name))

    @of(most_per_page=40)
    def test_a_server_that_cuts_its_pages_loses_nothing(self, vendor: Arrivy) -> None:
        assert read(TASKS).ids == sorted(vendor.ids("tasks"))

    def test_pages_are_asked_for_in_the_order_of_creation(self, vendor: Arrivy) -> None:
        read(TASKS, page_size=100).finished()
        assert {query["order_by"] for query in queries(vendor)} == {"CREATED"}
        assert {query["items_per_page"] for query in queries(vendor)} == {"100"}

    def test_no_more_is_asked_for_than_the_vendor_s_own_page(self, vendor: Arrivy) -> None:
        read(TASKS, page_size=10_000).finished()
        assert {query["items_per_page"] for query in queries(vendor)} == {"500"}

    @pytest.mark.parametrize("at_once", [1, 4])
    @pytest.mark.parametrize("name", ["tasks", "groups"])
    @pytest.mark.parametrize("fault", ["repeat_page", "endless"])
    def test_a_list_without_an_end_is_stopped(self, vendor: Arrivy, name: str, fault: str, at_once: int) -> None:
        vendor.set_fault(fault, path=f"/{name}")
        with pytest.raises(CursorStuck, match=name):
            read(ENTITIES[name], page_size=2, concurrent_pages=at_once).finished()

    @pytest.mark.parametrize("fault", ["missing_list", "null_last_page"])
    def test_an_answer_that_is_no_list_is_an_error(self, vendor: Arrivy, fault: str) -> None:
        vendor.set_fault(fault, path="/tasks")
        with pytest.raises(AnswerChanged, match="tasks"):
            read(TASKS).finished()

    def test_a_record_without_an_id_is_left_to_the_loader(self, vendor: Arrivy) -> None:
        vendor.set_fault("malformed", path="/tasks", what="missing_id", times=1)
        assert sum("id" not in record for record in read(TASKS).records) == 1

    @pytest.mark.parametrize("since", [None, ago(days=1200)])
    @of(contacts=3000, most_per_query=1000)
    @pytest.mark.slow("many records")
    def test_a_query_that_is_cut_after_a_thousand_is_read_in_halves(
        self, vendor: Arrivy, since: datetime | None
    ) -> None:
        reading = read(TASKS, since)
        assert reading.ids == sorted(vendor.ids("tasks"))
        assert len(reading.ids) > 1800

    @of(contacts=3000)
    def test_a_query_that_is_not_cut_is_asked_once(self, vendor: Arrivy) -> None:
        assert read(TASKS).calls == 4 + 1 + 1 + 1 + 2 + 2

    def test_a_row_that_is_declared_otherwise_is_read_alike(self, vendor: Arrivy) -> None:
        for entity in ENTITIES.values():
            assert read(replace(entity, name="other", about="Otherwise.")).ids == read(entity).ids


class TestSchedule:
    @pytest.mark.parametrize(
        "at",
        [
            "9999-12-30T00:00:00+00:00",
            "9999-01-01T00:00:00+00:00",
            "2041-01-01T00:00:00+00:00",
            "2009-12-31T23:59:59+00:00",
            "1900-01-01T00:00:00+00:00",
        ],
    )
    def test_a_date_that_stands_for_none_is_read_with_everything(self, vendor: Arrivy, at: str) -> None:
        key = vendor.create("tasks", at)
        reading = read(TASKS)
        assert key in reading.ids
        assert reading.ids == sorted(vendor.ids("tasks"))

    @pytest.mark.parametrize(("stretch", "bound"), [("far_future", "9999"), ("distant_past", "1900")])
    def test_a_vendor_that_refuses_such_a_bound_costs_nothing_else(
        self, vendor: Arrivy, stretch: str, bound: str
    ) -> None:
        read(TASKS).finished()
        before = next(n for n, query in enumerate(queries(vendor)) if bound in query.get("from", "") + query["to"])
        vendor.set_fault("status", path="/tasks", status=400, after=before, times=1)
        reading = read(TASKS)
        assert reading.ids == sorted(vendor.ids("tasks"))
        assert reading.context.noted[stretch] == "refused with 400"
        assert reading.report.unproven is None

    def test_a_row_where_the_vendor_refuses_to_answer_is_not_counted_as_deleted(self, tasks: SourceHarness) -> None:
        key = tasks.simulator.ids("tasks", "scheduled")[0]
        tasks.simulator.reschedule("tasks", key, at="2005-06-01T14:00:00+00:00")
        tasks.sync()
        assert (key,) in tasks.living()
        original = tasks.simulator.answer

        def answer(request: Request) -> Answer:
            early = request.first("from").startswith("1900")
            return answer_json(400, {"message": "INVALID_INPUT"}) if early else original(request)

        tasks.simulator.answer = answer
        result = tasks.sync(full=True)
        assert (result.status, result.deleted) == ("partial", 0)
        assert "from 1900 to 2010, where 1 rows of arrivy_task were not met" in str(result.reason)

    def test_times_are_sent_with_an_offset(self, vendor: Arrivy) -> None:
        since = datetime(2026, 1, 31, 23, 30, tzinfo=UTC)
        read(TASKS, since, since + timedelta(days=1)).finished()
        bounds = [(query["from"], query["to"]) for query in queries(vendor) if "from" in query]
        assert set(bounds) == {("2026-01-31T23:30:00+00:00", "2026-02-01T23:30:01+00:00")}

    def test_bookings_are_asked_in_both_ways(self, vendor: Arrivy) -> None:
        read(BOOKINGS, datetime(2026, 1, 31, tzinfo=UTC)).finished()
        (first, *_) = queries(vendor, "/api/bookings")
        assert (first["from"], first["start_date"]) == ("2026-01-31T00:00:00+00:00", "2026-01-31T00:00:00Z")

    @pytest.mark.parametrize(
        "vendor", [{"booking_dates": how} for how in ("start_date", "from", "ignored")], indirect=True, ids=str
    )
    def test_whatever_dates_bookings_know_none_is_missing(self, vendor: Arrivy) -> None:
        since = ago(days=60)
        records = [vendor.record("bookings", key) for key in vendor.ids("bookings")]
        recent = {str(one["id"]) for one in records if (one["start_datetime"] or "9999") >= since.isoformat()[:19]}
        assert recent
        assert recent <= set(read(BOOKINGS, since).ids)

    def test_a_delta_has_the_window_and_all_without_a_time(self, vendor: Arrivy) -> None:
        since = ago(days=60)
        loose = vendor.ids("tasks", "unscheduled") + vendor.ids("tasks", "no_datetime")
        reading = read(TASKS, since)
        assert {record["id"] for record in reading.beside_the_window} == set(map(int, loose))
        dated = [record["start_datetime"] for record in reading.records if record["start_datetime"]]
        assert min(dated) >= since.isoformat()[:19]
        assert max(dated) > datetime.now(UTC).isoformat(), "and what lies ahead"

    def test_a_backfill_has_its_days_and_no_more(self, vendor: Arrivy) -> None:
        reading = read(TASKS, ago(days=100), ago(days=90), backfill=True)
        assert all(record["start_datetime"] for record in reading.records)
        assert not any({"unscheduled", "tasks_with_no_datetime"} & query.keys() for query in queries(vendor))

    @of(undated_lists="also")
    def test_scheduled_tasks_among_the_unscheduled_are_told_of(self, vendor: Arrivy) -> None:
        reading = read(TASKS)
        assert reading.ids == sorted(vendor.ids("tasks"))
        assert reading.context.noted == {}, "each comes once"
        delta = read(TASKS, ago(days=60)).finished()
        assert delta.context.noted["scheduled_among_unscheduled"] > 100

    def test_a_delta_reaches_from_two_months_ago_to_a_year_ahead(self) -> None:
        now = datetime(2026, 5, 1, tzinfo=UTC)
        for entity in (TASKS, BOOKINGS):
            last = LastGood(now - timedelta(hours=1), now - timedelta(hours=1), entity.full_due(now))
            planned = plan(entity, Options(), last, now)
            assert (planned.mode, planned.window) == ("delta", (now - timedelta(days=60), now + timedelta(days=365)))
            assert planned.complete_range is None, "a task may leave the window by being rescheduled"
            assert plan(entity, Options(), replace(last, full_time=now - timedelta(days=1)), now).mode == "full"
            assert entity.version == "updated"

    @pytest.mark.parametrize("name", ["tasks", "bookings"])
    @pytest.mark.slow("rarer behaviour of a vendor")
    def test_what_is_rescheduled_out_of_the_window_lives_on(
        self, database_url: str, monkeypatch: pytest.MonkeyPatch, name: str
    ) -> None:
        with source_harness(ENTITIES[name].table, database_url, monkeypatch) as it:
            it.sync()
            far, none, back = it.simulator.ids(name, "scheduled")[-3:]
            (loose, *_) = it.simulator.ids(name, "unscheduled")
            it.simulator.reschedule(name, far, at="2031-01-01T12:00:00+00:00")
            it.simulator.reschedule(name, none)
            it.simulator.reschedule(name, back, at=ago(days=300).isoformat(timespec="seconds"))
            it.simulator.reschedule(name, loose, at=datetime.now(UTC).isoformat(timespec="seconds"))
            delta = it.sync()
            assert (delta.deleted, delta.updated) == (0, 2), "one lost its time, one was given one"
            whole = it.sync(full=True)
            assert (whole.deleted, whole.updated) == (0, 2), "the two outside of the window"
            assert it.rows()[(far,)]["start_datetime"].year == 2031

    def test_an_older_record_does_not_replace_a_newer_one(self, tasks: SourceHarness) -> None:
        tasks.sync()
        key = tasks.simulator.ids("tasks")[-1]
        tasks.execute("UPDATE arrivy_task SET updated = now() + interval '1 hour', title = 'from a webhook'"
                      " WHERE id = %s", key)  # fmt: skip
        tasks.simulator.edit("tasks", key, {"title": "older"})
        tasks.sync()
        assert tasks.rows()[(key,)]["title"] == "from a webhook"

    def test_an_edit_that_moves_no_time_arrives(self, tasks: SourceHarness) -> None:
        tasks.sync()
        key = tasks.simulator.ids("tasks", "scheduled")[-1]
        tasks.simulator.edit("tasks", key, {"title": "quietly"}, quietly=True)
        assert tasks.sync().updated == 1
        assert tasks.rows()[(key,)]["title"] == "quietly"


class TestShifting:
    def test_what_a_deleted_record_hid_is_found_before_anything_is_buried(self, vendor: Arrivy) -> None:
        everything = vendor.ids("tasks")
        reading = read(TASKS, page_size=20, known=Held(living=everything))
        reading.step()
        for key in everything[:3]:
            vendor.delete("tasks", key)
        assert set(reading.ids) == set(everything)
        assert reading.context.noted["walked_again"] == "3 known tasks were not met at first"

    def test_a_task_that_moves_to_a_list_that_was_read_is_found(self, vendor: Arrivy) -> None:
        loose = vendor.ids("tasks", "unscheduled")[0]
        reading = read(TASKS, page_size=500, known=Held(living=vendor.ids("tasks")))
        reading.step()
        vendor.reschedule("tasks", loose, at=datetime.now(UTC).isoformat(timespec="seconds"))
        assert loose in reading.ids

    def test_what_is_gone_is_not_met_again(self, vendor: Arrivy) -> None:
        removed = vendor.ids("tasks")[5]
        known = Held(living=vendor.ids("tasks"))
        vendor.delete("tasks", removed)
        reading = read(TASKS, known=known)
        assert reading.ids == sorted(vendor.ids("tasks"))
        assert reading.calls == 2 * (2 + 1 + 1 + 2 + 2)

    def test_a_record_that_changes_while_it_is_read_comes_again(self, vendor: Arrivy) -> None:
        key = vendor.ids("tasks", "scheduled")[0]
        reading = read(TASKS, page_size=20)
        reading.step()
        vendor.reschedule("tasks", key)
        found = [record["unscheduled"] for record in reading.records if record["id"] == int(key)]
        assert found == [False, True]

    def test_a_deletion_hides_nothing_from_the_table(self, tasks: SourceHarness) -> None:
        tasks.sync()
        removed = tasks.simulator.ids("tasks")[0]
        tasks.simulator.delete("tasks", removed)
        result = tasks.sync(full=True, batch_size=10)
        assert (result.status, result.deleted) == ("success", 1)
        assert {key for (key,) in tasks.living()} == set(tasks.simulator.ids("tasks"))


class TestConcurrentPages:
    @pytest.mark.parametrize("at_once", [1, 2, 5])
    @pytest.mark.parametrize("name", list(ENTITIES))
    def test_concurrent_pages_bounded(self, vendor: Arrivy, name: str, at_once: int) -> None:
        """The simulator's peak is the flag, and the rows are those of one page at a time."""
        vendor.configure(pages_of_small_lists=True)
        vendor.set_fault("slow", seconds=0.1)
        reading = read(ENTITIES[name], page_size=60 if name in ("tasks", "bookings") else 1, concurrent_pages=at_once)
        assert reading.ids == sorted(vendor.ids(name))
        assert vendor.requests()["peak_concurrency"] == at_once

    def test_one_page_at_a_time_by_default(self, vendor: Arrivy) -> None:
        vendor.set_fault("slow", seconds=0.02)
        read(TASKS, page_size=60).finished()
        assert vendor.requests()["peak_concurrency"] == 1

    @pytest.mark.parametrize("name", list(ENTITIES))
    def test_high_performance_same_rows(self, vendor: Arrivy, name: str) -> None:
        """And in the same order."""
        plain = read(ENTITIES[name], page_size=20)
        fast = read(ENTITIES[name], page_size=20, high_performance=True)
        assert fast.records == plain.records
        assert fast.beside_the_window == plain.beside_the_window

    def test_high_performance_asks_for_pages_side_by_side_and_keeps_within_the_other_flag(self, vendor: Arrivy) -> None:
        vendor.set_fault("slow", seconds=0.05)
        peaks = []
        for flags in ({}, {"high_performance": True}, {"high_performance": True, "concurrent_pages": 2}):
            vendor.reset_counters()
            read(TASKS, page_size=20, **flags).finished()
            peaks.append(vendor.requests()["peak_concurrency"])
        assert peaks == [1, 4, 2]

    @pytest.mark.slow("rarer behaviour of a vendor")
    def test_high_performance_same_rows_in_the_warehouse(self, tasks: SourceHarness) -> None:
        fast = tasks.sync(vendor={"high_performance": True, "concurrent_pages": 3}, batch_size=10)
        assert fast.watermark is not None
        before = tasks.rows()
        plain = tasks.sync(full=True)
        assert (plain.unchanged, plain.deleted) == (len(before), 0)
        assert tasks.rows() == before

    @pytest.mark.parametrize(("status", "error"), [(400, RequestRefused), (403, PermissionMissing)])
    @pytest.mark.parametrize("after", [0, 3, 6])
    def test_a_page_that_fails_fails_the_read(
        self, tasks: SourceHarness, status: int, error: type[Exception], after: int
    ) -> None:
        tasks.simulator.set_fault("status", path="/tasks", status=status, after=after, times=1)
        with pytest.raises(error):
            tasks.sync(vendor={"concurrent_pages": 4}, batch_size=20)
        assert tasks.rows() == {}
        assert tasks.history()[-1]["status"] == "failed"

    def test_what_another_attempt_mends_is_mended(self, vendor: Arrivy) -> None:
        for kind in ("rate_limit", "status", "reset", "truncated"):
            vendor.set_fault(kind, path="/tasks", every=5)
        reading = read(TASKS, page_size=20, concurrent_pages=4)
        assert reading.ids == sorted(vendor.ids("tasks"))
        assert reading.calls == vendor.requests()["total"], "no call is lost to a race"

    def test_a_vendor_that_stays_away_ends_it(self, vendor: Arrivy) -> None:
        vendor.set_fault("status", path="/tasks", after=5)
        with pytest.raises(VendorUnavailable):
            read(TASKS, page_size=20, concurrent_pages=4).finished()

    def test_waiting_is_counted_by_the_clock(self, vendor: Arrivy) -> None:
        vendor.set_fault("slow", seconds=0.05)
        began = time.monotonic()
        reading = read(TASKS, page_size=40, concurrent_pages=8).finished()
        assert 0.05 <= reading.context.waited_seconds <= time.monotonic() - began

    def test_a_limited_run_leaves_nothing_running(self, vendor: Arrivy) -> None:
        reading = read(TASKS, page_size=5, concurrent_pages=4)
        reading.step()
        reading.pages.close()  # type: ignore[attr-defined]
        time.sleep(0.3)
        asked = vendor.requests()["total"]
        time.sleep(0.2)
        assert vendor.requests()["total"] == asked < 20


class TestLimits:
    def test_each_request_takes_its_place_in_the_budget(self, vendor: Arrivy) -> None:
        reading = read(TASKS, page_size=20, concurrent_pages=4)
        assert [budget.name for budget in reading.finished().taken] == ["minute"] * reading.calls

    @pytest.mark.slow("rarer behaviour of a vendor")
    def test_the_budget_holds_with_concurrent_pages(
        self, vendor: Arrivy, database_url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """In no second are there more requests than it allows, whichever of eight threads asks."""
        monkeypatch.setattr(client, "Budget", lambda name, requests, seconds: Budget(name, 20, 1.0))
        with RequestBudget(database_url, threading.Event()) as budget:
            reading = read(TASKS, page_size=8, concurrent_pages=8)
            reading.context.acquire = budget.acquire
            reading.finished()
        at = sorted(entry["at"] for entry in vendor.requests()["log"])
        assert len(at) > 45
        # The simulator notes when it answered, a little after the request was granted.
        assert all(late - early > 0.8 for early, late in zip(at, at[20:], strict=False))

    def test_a_refusal_that_says_nothing_is_waited_for_a_minute(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("WAREHOUSE_RETRY_SECONDS", "1")
        assert wait_for(httpx.Response(429), 3) == 60
        assert wait_for(httpx.Response(503), 1) is None

    @pytest.mark.parametrize("vendor", [{"refusal": "json"}, {"refusal": "text"}], indirect=True, ids=str)
    def test_wrong_keys_are_reported(self, vendor: Arrivy, monkeypatch: pytest.MonkeyPatch) -> None:
        assert "it knows the key" in ARRIVY.check()
        monkeypatch.setenv("ARRIVY_AUTH_TOKEN", "wrong")
        with pytest.raises(CredentialRefused):
            ARRIVY.check()


class TestByKey:
    @pytest.mark.parametrize("status", [404, 400])
    def test_a_key_that_was_deleted_costs_no_other(self, tasks: SourceHarness, status: int) -> None:
        tasks.sync()
        deleted, edited = tasks.simulator.ids("tasks")[:2]
        tasks.simulator.configure(absent_status=status)
        tasks.simulator.delete("tasks", deleted)
        tasks.simulator.edit("tasks", edited, {"title": "edited"})
        result = sync_keys(ARRIVY, TASKS, [deleted, edited], url=tasks.url)
        assert (result.status, result.updated, result.deleted) == ("success", 1, 1)

    def test_a_key_that_is_refused_costs_no_other_and_proves_nothing(self, tasks: SourceHarness) -> None:
        tasks.sync()
        refused, edited, deleted = tasks.simulator.ids("tasks")[:3]
        tasks.simulator.edit("tasks", edited, {"title": "edited"})
        tasks.simulator.delete("tasks", deleted)
        tasks.simulator.set_fault("status", path=f"/tasks/{refused}", status=400)
        result = sync_keys(ARRIVY, TASKS, [refused, edited, deleted], url=tasks.url)
        assert (result.status, result.updated, result.deleted) == ("partial", 1, 1)
        assert result.unread_keys == [refused]
        assert (refused,) in tasks.living()
        with pytest.raises(RequestRefused):
            sync_keys(ARRIVY, TASKS, [refused], url=tasks.url)


class TestFlags:
    @pytest.mark.parametrize(
        ("name", "flag", "value"),
        [("bookings", "--booking-status", "completed"), ("tasks", "--task-status", "CANCELLED")],
    )
    @pytest.mark.slow("rarer behaviour of a vendor")
    def test_the_vendor_sees_the_filter(
        self, vendor: Arrivy, database_url: str, monkeypatch: pytest.MonkeyPatch, name: str, flag: str, value: str,
        tmp_path: Any,
    ) -> None:  # fmt: skip
        monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
        result = CliRunner().invoke(cli.main, ["sync", "arrivy", name, flag, value, "--dry-run"])
        assert result.exit_code == 0, result.output
        assert {query["status"] for query in queries(vendor, f"/api/{name}")} == {value}

    @pytest.mark.parametrize("vendor", [{"status_filter": True}, {"status_filter": False}], indirect=True, ids=str)
    def test_only_that_status_comes_whether_the_vendor_filters_or_not(self, vendor: Arrivy) -> None:
        records = read(TASKS, task_status="cancelled").records
        truth = [key for key in vendor.ids("tasks") if vendor.record("tasks", key)["status"] == "CANCELLED"]
        assert sorted(str(record["id"]) for record in records) == sorted(truth)

    @of(status_filter=False)
    def test_the_statuses_that_were_left_out_are_told(self, vendor: Arrivy) -> None:
        reading = read(TASKS, task_status="done").finished()
        truth = Counter(vendor.record("tasks", key)["status"] for key in vendor.ids("tasks"))
        assert reading.context.noted["other_statuses"] == truth

    def test_filtered_run_keeps_watermark(self, tasks: SourceHarness) -> None:
        """And buries nothing; the flags that only make it faster do neither."""
        tasks.sync()
        before = tasks.rows()
        removed = tasks.simulator.ids("tasks")[-1]
        tasks.simulator.delete("tasks", removed)
        some = tasks.sync(full=True, vendor={"task_status": "COMPLETE"})
        assert (some.status, some.deleted, some.watermark) == ("success", 0, None)
        assert 0 < some.processed < len(before)
        none = tasks.sync(full=True, vendor={"task_status": "no such status"})
        assert (none.status, none.processed, none.deleted) == ("success", 0, 0)
        fast = tasks.sync(full=True, vendor={"concurrent_pages": 4, "high_performance": True})
        assert (fast.status, fast.deleted) == ("success", 1)
        assert fast.watermark is not None


class TestOptional:
    @of(bookings=False)
    def test_an_account_without_bookings_has_none(self, vendor: Arrivy) -> None:
        reading = read(BOOKINGS)
        assert reading.ids == []
        assert reading.context.noted == {"absent": "this account has no /bookings"}
        with pytest.raises(RequestRefused):
            read(BOOKINGS, ago(days=60)).finished()
        vendor.set_fault("status", path="/tasks", status=404)
        with pytest.raises(RequestRefused):
            read(TASKS).finished()

    def test_bookings_that_vanish_as_a_whole_are_suspicious(
        self, database_url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with source_harness("arrivy_booking", database_url, monkeypatch) as it:
            it.sync()
            it.simulator.configure(bookings=False)
            with pytest.raises(SuspiciousRead):
                it.sync(full=True)
            with pytest.raises(RequestRefused):
                it.sync()

    def test_without_a_list_of_templates_the_stored_tasks_tell(self, vendor_answers: Callable[..., None]) -> None:
        def task(key: str, template: int | None, name: str, updated: str) -> dict[str, Any]:
            return {"id": key, "template_id": template, "template": name, "template_type": "TASK", "updated": updated}

        stored = [
            task("1", 6_000_000_000_000_001, "Former name", "2025-01-01T00:00:00"),
            task("2", 6_000_000_000_000_001, "Appointment", "2025-01-02T00:00:00"),
            task("3", 9_007_199_254_740_993, "Service", "2025-01-01T00:00:00"),
            task("4", None, "None", "2025-01-03T00:00:00"),
        ]
        vendor_answers({})
        records = {str(one["id"]): json.dumps(one).encode() for one in stored}
        known = Held(living=["1", "2", "3", "4"], stored=records)
        assert read(TEMPLATES, known=known).records == [
            {"id": 6_000_000_000_000_001, "name": "Appointment", "type": "TASK"},
            {"id": 9_007_199_254_740_993, "name": "Service", "type": "TASK"},
        ]

    def test_templates_of_tasks_in_the_warehouse(self, tasks: SourceHarness) -> None:
        tasks.simulator.configure(templates=False)
        first = tasks.sync(entity=TEMPLATES)
        assert (first.status, first.created) == ("success", 0), "no tasks yet"
        tasks.sync()
        second = tasks.sync(entity=TEMPLATES)
        assert (second.status, second.created) == ("success", 5)
        found = {row["id"]: row["name"] for row in tasks.query("SELECT id, name FROM arrivy_template")}
        assert found == {key: tasks.simulator.record("templates", key)["name"]
                         for key in tasks.simulator.ids("templates")}  # fmt: skip
        assert tasks.sync(entity=TEMPLATES).unchanged == 5


class TestRecords:
    def test_the_documented_task_is_typed(self) -> None:
        coercer = Coercer("arrivy", TASKS)
        (task,) = coercer.table([json.dumps(one).encode() for one in sample("arrivy_tasks")]).to_pylist()
        assert coercer.rejects == []
        assert (task["id"], task["customer_id"]) == ("5348024557502464", "7458024557501236")
        assert task["start_datetime"] == datetime(2025, 3, 4, 14, tzinfo=UTC)
        assert task["start_datetime"] == datetime.fromisoformat(task["start_datetime_original_iso_str"])
        assert task["updated"] == datetime(2025, 3, 2, 8, 30, tzinfo=UTC)
        assert (task["duration"], task["unscheduled"], task["rating"]) == (120, False, None)
        assert json.loads(task["entity_ids"]) == [6473924464345088]
        assert json.loads(task["extra_fields"]) == {"k": "v"}

    def test_the_documented_answer_is_read(self, vendor_answers: Callable[..., None]) -> None:
        def answer(request: Request) -> Any:
            plain = request.first("page") == "1" and request.first("from")
            return sample("arrivy_tasks") if plain else []

        vendor_answers({"/api/tasks": answer})
        assert read(TASKS).ids == ["5348024557502464"]

    @pytest.mark.parametrize("name", list(ENTITIES))
    def test_every_record_is_typed_and_every_id_is_whole(self, vendor: Arrivy, name: str) -> None:
        coercer = Coercer("arrivy", ENTITIES[name])
        table = coercer.table([json.dumps(record).encode() for record in read(ENTITIES[name]).records])
        assert (coercer.rejects, dict(coercer.warnings)) == ([], {})
        assert sorted(table["id"].to_pylist()) == sorted(vendor.ids(name))
        if name == "tasks":
            assert any(int(key) > 2**53 and int(float(key)) != int(key) for key in table["id"].to_pylist())

    def test_a_value_of_another_type_costs_no_record(self) -> None:
        coercer = Coercer("arrivy", TASKS)
        odd = {"id": 1, "duration": "two hours", "created_by_user": {"id": 2}, "rating": {"rating": 5}, "is_linked": 7}
        (task,) = coercer.table([json.dumps(odd).encode()]).to_pylist()
        assert (task["duration"], task["created_by_user"], task["is_linked"]) == (None, '{"id":2}', None)

    @pytest.mark.parametrize(
        ("table", "names"),
        [
            ("arrivy_booking", "id title customer_name customer_email customer_phone customer_address start_datetime"
             " end_datetime status entity_ids extra_fields group_id sync_created_at sync_updated_at"),
            ("arrivy_task", "id template_id title status booking_id entity_ids start_datetime end_datetime"
             " sync_created_at sync_updated_at"),
            *((f"arrivy_{one}", "id raw_data") for one in ("entity", "group", "status", "template")),
        ],
    )  # fmt: skip
    def test_the_tables_have_the_columns_that_users_rely_on(self, tasks: SourceHarness, table: str, names: str) -> None:
        there = tasks.query("SELECT column_name FROM information_schema.columns WHERE table_name = %s", table)
        assert set(names.split()) <= {row["column_name"] for row in there}

    @pytest.mark.slow("rarer behaviour of a vendor")
    def test_each_task_has_its_booking_and_its_template(self, tasks: SourceHarness) -> None:
        """And each booking its group; no join loses a row."""
        for entity in ARRIVY.entities:
            tasks.sync(entity=entity)
        for table, column in (("arrivy_booking", "booking_id"), ("arrivy_template", "template_id")):
            (row,) = tasks.query(
                f"SELECT count(*) FILTER (WHERE b.id IS NULL) lost, count(*) FROM arrivy_task t"
                f" LEFT JOIN {table} b ON b.id = t.{column} WHERE t.{column} IS NOT NULL"
            )
            assert row["lost"] == 0 < row["count"]
        (row,) = tasks.query(
            "SELECT count(*) AS lost FROM arrivy_booking b LEFT JOIN arrivy_group g ON g.id = b.group_id"
            " WHERE b.group_id IS NOT NULL AND g.id IS NULL"
        )
        assert row["lost"] == 0

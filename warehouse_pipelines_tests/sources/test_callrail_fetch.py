"""What is odd about CallRail, read over HTTP from its simulator or from a documented answer."""

import itertools
import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from warehouse_pipelines.errors import AnswerChanged, CredentialRefused, CursorStuck, PermissionMissing
from warehouse_pipelines.loading.coerce import Coercer
from warehouse_pipelines.model.entity import Entity
from warehouse_pipelines.model.reading import ReadContext
from warehouse_pipelines.simulators.callrail.simulator import CallRail
from warehouse_pipelines.simulators.core.wire import Answer, Request
from warehouse_pipelines.sources.callrail import CALLRAIL
from warehouse_pipelines.sources.callrail.by_key import asking
from warehouse_pipelines.sources.callrail.client import wait_for
from warehouse_pipelines_tests.harness.fetching import Held, Read, sample, served
from warehouse_pipelines_tests.harness.source_harness import serve_vendor, source_harness

ENTITIES = {entity.name: entity for entity in CALLRAIL.entities}
LISTS = {"text_messages": "conversations"}
"""What a list is called in an answer, where it is not called as its entity."""
CALLS = ENTITIES["calls"]
TEXTS = ENTITIES["text_messages"]
WITH_OFFSET = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00")


@pytest.fixture
def vendor(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[CallRail]:
    """An account with 600 calls; ``@pytest.mark.parametrize("vendor", [...], indirect=True)`` gives settings."""
    settings = {"contacts": 1200, **getattr(request, "param", {})}
    with serve_vendor("callrail", monkeypatch, settings, contacts=settings["contacts"]) as simulators:
        yield simulators.of(CallRail)


@pytest.fixture
def vendor_answers(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Mapping[str, Any]], None]]:
    """Makes a server of documented answers, by path, the vendor of this test."""
    with ExitStack() as stack:

        def serve(answers: Mapping[str, Any]) -> None:
            monkeypatch.setenv("CALLRAIL_API_KEY", "any")
            monkeypatch.setenv("CALLRAIL_BASE_URL", stack.enter_context(served(answers)))

        yield serve


def of(**settings: Any) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("vendor", [settings], indirect=True, ids=str)


def read(entity: Entity, since: datetime | None = None, until: datetime | None = None, **how: Any) -> Read:
    return Read(CALLRAIL, entity, since, until, **how)


def ago(**span: float) -> datetime:
    return datetime.now(UTC) - timedelta(**span)


def queries(vendor: CallRail) -> list[dict[str, str]]:
    """What was asked of the lists of an account, in order."""
    log = vendor.requests()["log"]
    return [{name: values[0] for name, values in entry["query"].items()} for entry in log if "/a/" in entry["path"]]


def remove(vendor: CallRail, name: str, *keys: str) -> None:
    """Let records vanish, as spam does."""
    for key in keys:
        number = vendor.stores[name].find(key)
        assert number is not None
        vendor.stores[name].remove(number)


def add(vendor: CallRail, name: str, at: datetime) -> str:
    """Add a record that began then."""
    if name == "calls":
        return str(vendor.add_call(start_time=at.isoformat()))
    return str(vendor.add_form(submitted_at=at.isoformat()))


def interfere(vendor: CallRail, path: str, after: int, act: Callable[[], None]) -> None:
    """Act once, when so many pages of a list were answered."""
    answer, pages = vendor.answer, itertools.count(1)

    def answered(request: Request) -> Answer:
        found = answer(request)
        if request.path.endswith(path) and next(pages) == after:
            act()
        return found

    vendor.answer = answered  # type: ignore[method-assign]


class TestPaging:
    @pytest.mark.parametrize("name", list(ENTITIES))
    def test_everything_is_read_and_counted(self, vendor: CallRail, name: str) -> None:
        reading = read(ENTITIES[name], page_size=100)
        assert reading.ids == sorted(vendor.ids(LISTS.get(name, name)))
        assert (reading.report.reported, reading.report.reported_trusted) == (len(reading.ids), True)

    @pytest.mark.parametrize("name", list(ENTITIES))
    def test_a_row_that_is_declared_otherwise_is_read_alike(self, vendor: CallRail, name: str) -> None:
        """A row is known by its path: tests and users replace rows."""
        since = ago(days=100) if ENTITIES[name].cursor else None
        as_declared = read(ENTITIES[name], since, page_size=20).finished()
        asked = queries(vendor)
        vendor.reset_counters()
        replaced = read(replace(ENTITIES[name], about="Otherwise."), since, page_size=20).finished()
        assert (replaced.records, replaced.beside_the_window) == (as_declared.records, as_declared.beside_the_window)
        assert [query.keys() for query in queries(vendor)] == [query.keys() for query in asked]

    def test_deep_lists_of_calls_are_read_by_relative_pages(self, vendor: CallRail) -> None:
        assert read(CALLS).calls == 1 + 1 + 3  # accounts, the count, three pages of 250
        assert [query.get("offset") for query in queries(vendor)] == [None, "0", "1", "2"]
        assert all(query["relative_pagination"] == "true" for query in queries(vendor)[1:])

    @pytest.mark.parametrize("name", [name for name in ENTITIES if name != "accounts"])
    def test_a_small_list_costs_two_calls(self, vendor: CallRail, name: str) -> None:
        since = ago(days=1) if ENTITIES[name].cursor else None
        assert read(ENTITIES[name], since).calls == 2

    @pytest.mark.parametrize(
        ("name", "fault"), [("calls", "repeat_page"), ("calls", "endless"), ("form_submissions", "repeat_page")]
    )
    def test_a_list_without_an_end_is_stopped(self, vendor: CallRail, name: str, fault: str) -> None:
        vendor.set_fault(fault, path=f"/{name}.json")
        with pytest.raises(CursorStuck, match=name):
            read(ENTITIES[name], page_size=50).finished()

    @of(next_page_host="https://elsewhere.example")
    def test_a_next_page_on_another_host_is_not_followed(self, vendor: CallRail) -> None:
        with pytest.raises(AnswerChanged, match="elsewhere"):
            read(CALLS).finished()
        assert len(queries(vendor)) == 2

    def test_a_next_page_that_forgets_how_to_be_read_is_read_so_all_the_same(
        self, vendor_answers: Callable[..., None]
    ) -> None:
        def calls(request: Request) -> Any:
            if request.first("relative_pagination") != "true":
                return {"calls": [{"id": "CAL1"}], "total_pages": 2, "total_records": 2}
            offset = int(request.first("offset"))
            following = f"http://{request.headers['host']}{request.path}?offset={offset + 1}"
            return {"calls": [{"id": f"CAL{offset + 1}"}], "has_next_page": not offset, "next_page": following}

        accounts = {"accounts": [{"id": "ACC1"}], "total_pages": 1, "total_records": 1}
        vendor_answers({"/v3/a.json": accounts, "/v3/a/ACC1/calls.json": calls})
        assert read(CALLS).ids == ["CAL1", "CAL2"]

    @pytest.mark.parametrize("name", ["calls", "form_submissions"])
    def test_a_null_instead_of_the_last_page_is_the_end(self, vendor: CallRail, name: str) -> None:
        vendor.set_fault("null_last_page", path=f"/{name}.json")
        assert len(read(ENTITIES[name], page_size=100).ids) == len(vendor.ids(name))

    def test_an_answer_without_its_list_is_an_error(self, vendor: CallRail) -> None:
        vendor.set_fault("missing_list", path="/calls.json")
        with pytest.raises(AnswerChanged, match="calls"):
            read(CALLS).finished()

    def test_a_record_without_an_id_is_left_to_the_loader(self, vendor: CallRail) -> None:
        vendor.set_fault("malformed", path="/calls.json", what="missing_id", after=1, times=1)
        reading = read(CALLS)
        assert sum("id" not in record for record in reading.records) == 1
        assert reading.report.reported == len(reading.records) == 600

    def test_a_call_that_arrives_late_during_the_walk_comes_once(self, vendor: CallRail) -> None:
        until = datetime.now(UTC)
        reading = read(CALLS, until=until, page_size=100)
        reading.step()
        vendor.add_call(start_time=(until - timedelta(days=700)).isoformat())
        assert len(reading.ids) == len(set(reading.ids))
        assert len(reading.ids) in (600, 601)


class TestCounts:
    def test_a_count_that_was_wrong_once_is_asked_again(self, vendor: CallRail) -> None:
        vendor.set_fault("lying_total", path="/calls.json", times=1)
        reading = read(CALLS).finished()
        assert reading.report.reported == len(reading.ids) == 600
        assert reading.calls == 1 + 2 * (1 + 3)  # accounts; twice a count and three pages, as after a loss

    @pytest.mark.parametrize("name", ["calls", "form_submissions"])
    @pytest.mark.parametrize("vanishing", [1, 3])
    def test_what_a_vanished_record_hid_is_found(self, vendor: CallRail, name: str, vanishing: int) -> None:
        """It moves another from the next page to one that was read; the count alone would then agree."""
        reading = read(ENTITIES[name], page_size=20)
        removed = vendor.ids(name)[:vanishing]
        reading.step()
        remove(vendor, name, *removed)
        assert reading.ids == sorted([*vendor.ids(name), *removed])
        assert (reading.report.reported, reading.report.reported_trusted) == (len(reading.ids), True)

    @pytest.mark.parametrize("name", ["calls", "form_submissions"])
    def test_a_list_that_goes_on_shrinking_is_not_believed(self, vendor: CallRail, name: str) -> None:
        """What vanishes during the second walk may hide another again; the count says so, and the run is partial."""
        reading = read(ENTITIES[name], page_size=20)
        pages = 0
        while True:
            remove(vendor, name, vendor.ids(name)[0])
            try:
                reading.step()
            except StopIteration:
                break
            pages += 1
        assert pages
        assert reading.report.reported is not None
        assert reading.report.reported != len(reading.ids)

    def test_a_count_that_stays_different_is_reported(self, vendor: CallRail) -> None:
        vendor.set_fault("lying_total", path="/calls.json", add=7)
        reading = read(CALLS).finished()
        assert reading.report.reported == len(reading.ids) + 7

    def test_spam_is_gone_from_list_and_count(self, vendor: CallRail) -> None:
        spam = vendor.ids("calls")[-1]
        vendor.spam_call(spam)
        reading = read(CALLS)
        assert spam not in reading.ids
        assert reading.report.reported == 599


class TestWhatTheWarehouseHas:
    """A record that no page showed is deleted or was hidden, and the count may be the same."""

    @pytest.mark.parametrize("name", ["calls", "form_submissions"])
    def test_what_one_that_vanished_hid_is_found_though_a_late_one_evens_the_count_out(
        self, vendor: CallRail, name: str
    ) -> None:
        until = datetime.now(UTC)
        known = vendor.ids(name)
        reading = read(ENTITIES[name], until=until, page_size=20, known=Held(living=known))
        reading.step()
        remove(vendor, name, known[0])
        late = add(vendor, name, until - timedelta(minutes=1))
        assert reading.ids == sorted([*known, late])
        assert (reading.report.reported, reading.report.reported_trusted) == (len(reading.ids), True)
        assert reading.context.noted == {"walked_again": f"1 known {name} were not met at first"}

    @pytest.mark.parametrize("name", ["calls", "form_submissions"])
    def test_a_few_that_are_gone_cost_a_request_each(self, vendor: CallRail, name: str) -> None:
        known = vendor.ids(name)
        remove(vendor, name, *known[3:5])
        usual = read(ENTITIES[name], page_size=20).calls
        reading = read(ENTITIES[name], page_size=20, known=Held(living=known))
        assert reading.calls == usual + 2
        assert reading.context.noted == {}
        assert reading.ids == sorted({*known} - {*known[3:5]})

    def test_more_than_the_pages_cost_a_walk(self, vendor: CallRail) -> None:
        known = [f"CAL{number:032x}" for number in range(4)]
        assert read(CALLS, known=Held(living=known)).calls == 1 + 2 * (1 + 3)

    def test_a_refusal_is_no_proof(self, vendor: CallRail) -> None:
        vendor.set_fault("status", path="/calls/", status=403)
        assert read(CALLS, known=Held(living=["CAL1"])).calls == 1 + 1 + 2 * (1 + 3)

    @pytest.mark.parametrize("name", ["companies", "users", "trackers", "tags", "text_messages"])
    def test_a_list_whose_records_cannot_be_asked_for_is_walked_again(self, vendor: CallRail, name: str) -> None:
        usual = read(ENTITIES[name], page_size=1).calls
        reading = read(ENTITIES[name], page_size=1, known=Held(living=["gone"]))
        assert reading.calls == 2 * usual - 1
        assert reading.ids == sorted(vendor.ids(LISTS.get(name, name)))

    def test_nobody_is_asked_where_nothing_would_count_as_deleted(self, vendor: CallRail) -> None:
        """After a list of one page too, which is of one moment."""
        gone = Held(living=["CAL" + "0" * 32])
        assert read(CALLS, ago(days=10), page_size=250, known=gone).calls == 2
        assert (
            read(TEXTS, ago(days=300), page_size=2, known=gone).calls == read(TEXTS, ago(days=300), page_size=2).calls
        )
        read(CALLS, known=gone, limit=600).finished()
        vendor.set_fault("malformed", path="/calls.json", what="missing_id", after=1, times=1)
        read(CALLS, known=gone).finished()
        assert not [entry for entry in vendor.requests()["log"] if "/calls/" in entry["path"]]

    @of(accounts=2)
    def test_each_account_is_asked(self, vendor: CallRail) -> None:
        gone = Held(living=["CAL" + "0" * 32])
        assert read(CALLS, page_size=50, known=gone).calls == read(CALLS, page_size=50).calls + 2

    @pytest.mark.parametrize("table", ["callrail_call", "callrail_form_submission"])
    def test_a_living_one_is_never_deleted_and_a_deleted_one_is(
        self, database_url: str, monkeypatch: pytest.MonkeyPatch, table: str
    ) -> None:
        with source_harness(table, database_url, monkeypatch) as it:
            vendor, name = it.simulator, it.entity.name
            now = datetime.now(UTC)
            ids = [add(vendor, name, now - timedelta(days=20) + timedelta(minutes=n)) for n in range(50)]
            it.sync()

            def act() -> None:
                remove(vendor, name, ids[1])
                add(vendor, name, now)

            interfere(vendor, f"/{name}.json", 3, act)
            result = it.sync(batch_size=10)
            assert (result.mode, result.status, result.created, result.deleted) == ("delta", "success", 1, 0)
            assert {(key,) for key in ids} <= it.living()
            assert it.sync(batch_size=10).deleted == 1
            assert it.living() == it.driver.keys(it.entity)


class TestWindows:
    def test_times_are_sent_with_an_offset_and_never_as_bare_dates(self, vendor: CallRail) -> None:
        for name in ("calls", "form_submissions", "text_messages"):
            read(ENTITIES[name], ago(days=3)).finished()
        assert all(WITH_OFFSET.fullmatch(query[end]) for query in queries(vendor) for end in ("start_date", "end_date"))

    def test_a_window_has_the_calls_that_began_in_it(self, vendor: CallRail) -> None:
        since, until = ago(days=90), ago(days=30)
        begun = {key: datetime.fromisoformat(vendor.record("calls", key)["start_time"]) for key in vendor.ids("calls")}
        inside = {key for key, at in begun.items() if since <= at < until}
        beside = {key for key, at in begun.items() if until <= at < until + timedelta(seconds=2)}
        assert inside <= set(read(CALLS, since, until).ids) <= inside | beside

    @pytest.mark.parametrize("status", [400, 422])
    def test_nothing_is_asked_that_is_older_than_the_vendor_keeps(self, vendor: CallRail, status: int) -> None:
        vendor.configure(retention_status=status)
        assert read(CALLS, ago(days=3650)).ids == read(CALLS).ids

    def test_a_window_older_than_that_costs_nothing(self, vendor: CallRail) -> None:
        now = datetime.now(UTC)
        assert read(CALLS, now, now - timedelta(days=1)).calls == 0

    def test_a_late_tag_comes_with_the_next_read_of_its_window(self, vendor: CallRail) -> None:
        call = vendor.ids("calls")[-1]
        vendor.tag_late(call, "sold")
        (record,) = [record for record in read(CALLS, ago(days=30)).records if record["id"] == call]
        assert "sold" in json.dumps(record["tags"])

    def test_a_delta_reads_thirty_days_again(self) -> None:
        """Edits move no cursor; the loader begins so far back and therefore cannot compare versions."""
        for name in ("calls", "form_submissions", "text_messages"):
            assert ENTITIES[name].cadence.lookback == timedelta(days=30)
            assert ENTITIES[name].version is None


class TestConversations:
    @of(contacts=4000)
    def test_one_that_moves_to_the_first_page_during_the_walk_is_read(self, vendor: CallRail) -> None:
        reading = read(TEXTS, page_size=100)
        first = {json.loads(record)["id"] for record in reading.step().records}
        oldest = vendor.ids("conversations")[0]
        assert oldest not in first
        vendor.message(oldest, "Are you coming today?")
        assert reading.ids == sorted(vendor.ids("conversations"))

    def test_one_with_a_message_after_the_window_is_read(self, vendor: CallRail) -> None:
        moved = vendor.ids("conversations")[0]
        until = ago(minutes=5)
        vendor.message(moved)
        assert moved in read(TEXTS, ago(days=1), until).ids

    def test_a_backfill_ends_where_its_day_does(self, vendor: CallRail) -> None:
        until = ago(days=100)
        vendor.add_conversation(at=(until + timedelta(hours=1)).isoformat())
        reading = read(TEXTS, ago(days=200), until, backfill=True)
        assert reading.ids
        assert max(datetime.fromisoformat(record["last_message_at"]) for record in reading.records) < until


class TestAccounts:
    @of(accounts=2)
    def test_each_account_is_read(self, vendor: CallRail) -> None:
        reading = read(CALLS)
        assert len(reading.ids) == reading.report.reported == 600
        assert len({entry["path"].split("/")[3] for entry in vendor.requests()["log"] if "/a/" in entry["path"]}) == 2

    @of(accounts=4)
    @pytest.mark.parametrize("fault", ["rate_limit", "status", "reset", "truncated"])
    def test_accounts_are_read_side_by_side_and_lose_nothing(self, vendor: CallRail, fault: str) -> None:
        vendor.set_fault("slow", path="/calls.json", seconds=0.02)
        vendor.set_fault(fault, path="/calls.json", every=3)
        reading = read(CALLS, page_size=50)
        assert len(reading.ids) == len(set(reading.ids)) == reading.report.reported == 600
        assert vendor.requests()["peak_concurrency"] > 1

    def test_records_of_all_accounts_are_counted(self, vendor_answers: Callable[..., None]) -> None:
        """Each list by itself, whatever order their pages come in."""
        names = [f"ACC{number}" for number in range(4)]

        def tags(request: Request) -> Any:
            account, page = request.path.split("/")[3], int(request.first("page"))
            records = [{"id": f"{account}-{page}-{number}"} for number in range(5)]
            return {"tags": records, "total_pages": 6, "total_records": 30}

        accounts = {"accounts": [{"id": name} for name in names], "total_pages": 1, "total_records": 4}
        vendor_answers({"/v3/a.json": accounts, **{f"/v3/a/{name}/tags.json": tags for name in names}})
        reading = read(ENTITIES["tags"])
        assert len(reading.ids) == len(set(reading.ids)) == reading.report.reported == 120
        assert reading.calls == 1 + 4 * 6

    def test_a_list_that_grows_while_the_next_account_is_read_is_complete(
        self, vendor_answers: Callable[..., None]
    ) -> None:
        """The count of an account is asked once more when that account was read, not when all were."""
        asked: list[str] = []

        def users(request: Request) -> Any:
            account = request.path.split("/")[3]
            asked.append(account)
            records = [{"id": f"{account}-{number}"} for number in range(3 if "ACC2" in asked else 2)]
            counted = 1 if asked == ["ACC1"] else len(records)
            return {"users": records, "total_pages": 1, "total_records": counted}

        accounts = {"accounts": [{"id": "ACC1"}, {"id": "ACC2"}], "total_pages": 1, "total_records": 2}
        vendor_answers({"/v3/a.json": accounts, "/v3/a/ACC1/users.json": users, "/v3/a/ACC2/users.json": users})
        reading = read(ENTITIES["users"])
        assert len(reading.ids) == reading.report.reported == 5
        assert asked == ["ACC1", "ACC1", "ACC2"]

    def test_a_record_of_two_accounts_is_that_of_the_first(self, vendor_answers: Callable[..., None]) -> None:
        accounts = {"accounts": [{"id": "ACC2"}, {"id": "ACC1"}], "total_pages": 1, "total_records": 2}
        answers = {
            f"/v3/a/{name}/users.json": {"users": [{"id": "USR1", "role": name}], "total_pages": 1, "total_records": 1}
            for name in ("ACC1", "ACC2")
        }
        vendor_answers({"/v3/a.json": accounts, **answers})
        assert [record["role"] for record in read(ENTITIES["users"]).records] == ["ACC1"]

    def test_a_user_of_two_accounts_is_one_record(self, vendor_answers: Callable[..., None]) -> None:
        users = {"users": [{"id": "USR1"}, {"id": "USR2"}], "total_pages": 1, "total_records": 2}
        accounts = {"accounts": [{"id": "ACC1"}, {"id": "ACC2"}], "total_pages": 1, "total_records": 2}
        vendor_answers({"/v3/a.json": accounts, "/v3/a/ACC1/users.json": users, "/v3/a/ACC2/users.json": users})
        reading = read(ENTITIES["users"])
        assert reading.ids == ["USR1", "USR2"]
        assert reading.report.reported == 2

    def test_a_key_without_an_account_is_no_empty_list(self, vendor_answers: Callable[..., None]) -> None:
        vendor_answers({"/v3/a.json": {"accounts": [], "total_pages": 0, "total_records": 0}})
        with pytest.raises(PermissionMissing, match="no account"):
            read(CALLS).finished()

    def test_a_forbidden_account_is_named(self, vendor: CallRail) -> None:
        vendor.set_fault("status", path="/calls.json", status=403)
        with pytest.raises(PermissionMissing, match=vendor.ids("accounts")[0]):
            read(CALLS).finished()

    @of(accounts=2)
    def test_an_account_that_refuses_a_list_takes_nothing_from_the_others(self, vendor: CallRail) -> None:
        """As one without text messages does: it was never read, so nothing is missing."""
        refusing = vendor.ids("accounts")[1]
        vendor.set_fault("status", path=f"/{refusing}/text-messages", status=403)
        reading = read(TEXTS)
        assert reading.ids == sorted(vendor.ids("text-messages"))
        assert (reading.report.unproven, reading.report.remark) == (None, None)
        assert reading.context.noted == {"refused_accounts": [refusing]}

    @of(accounts=2)
    def test_a_call_of_an_account_that_refuses_is_not_deleted_and_stops_no_others(self, vendor: CallRail) -> None:
        account, refusing = vendor.ids("accounts")
        key = vendor.ids("calls")[0]
        vendor.set_fault("status", path=f"/{refusing}/calls/", status=403)
        ask = asking(CALLS, ReadContext(), [refusing, account])
        found = ask(key)
        assert isinstance(found, bytes)
        assert json.loads(found)["id"] == key
        assert isinstance(ask("CAL1"), PermissionMissing)
        assert CALLRAIL.read_keys
        pages = CALLRAIL.read_keys(replace(read(CALLS).request, keys=[key, "CAL1"]), ReadContext())
        assert len(next(pages).records) == 1
        with pytest.raises(StopIteration) as ended:
            next(pages)
        assert ended.value.value.deleted_keys == []
        vendor.set_fault("status", path="/calls/", status=403)
        with pytest.raises(PermissionMissing):
            ask(key)

    def test_rows_of_an_account_that_refuses_now_stay_until_somebody_says_otherwise(
        self, database_url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with source_harness("callrail_text_message", database_url, monkeypatch, accounts=2) as it:
            refusing = it.simulator.ids("accounts")[1]
            it.driver.prepare(it.entity)
            it.sync()
            deleted, theirs = (it.driver.delete(it.entity) for _ in range(2))
            it.execute(
                "UPDATE callrail_text_message SET raw_data = jsonb_set(raw_data, '{company_id}', '\"COM9\"')"
                " WHERE id = %s", *theirs,
            )  # fmt: skip
            it.simulator.set_fault("status", path=f"/{refusing}/text-messages", status=403)
            result = it.sync(full=True)
            assert (result.status, result.deleted) == ("partial", 1)
            assert result.watermark is not None
            assert f"{refusing} may not be read with this key any more (403): 1 text_messages" in str(result.reason)
            assert theirs in it.living()
            assert deleted not in it.living()
            result = it.sync(full=True, force=True)
            assert (result.status, result.deleted) == ("success", 1)


class TestLimits:
    def test_each_request_takes_its_place_in_the_budgets(self, vendor: CallRail) -> None:
        reading = read(CALLS)
        assert [budget.name for budget in reading.finished().taken] == ["hour", "day"] * reading.calls

    def test_a_refusal_that_says_nothing_is_waited_for_in_minutes(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("WAREHOUSE_RETRY_SECONDS", "1")
        waits = [wait_for(httpx.Response(429), attempt) for attempt in range(1, 7)]
        assert waits == [10, 20, 40, 80, 160, 320]
        assert wait_for(httpx.Response(503), 1) is None

    def test_a_short_limit_is_waited_for(self, vendor: CallRail) -> None:
        vendor.set_fault("rate_limit", times=2)
        assert len(read(CALLS).ids) == 600

    def test_a_wrong_key_is_reported(self, vendor: CallRail, monkeypatch: pytest.MonkeyPatch) -> None:
        vendor.set_fault("unauthorized", body="text")
        with pytest.raises(CredentialRefused):
            CALLRAIL.check()

    def test_a_right_key_is_reported(self, vendor: CallRail) -> None:
        assert "1 account" in CALLRAIL.check()


class TestRecords:
    @of(unknown_fields="error")
    def test_the_fields_of_every_column_are_asked_for_and_no_unknown_one(self, vendor: CallRail) -> None:
        for entity in ENTITIES.values():
            if records := read(entity).records:
                asked = {column.path.partition(".")[0] for column in entity.columns.values()}
                assert asked - records[0].keys() == set()

    @of(tags_as="mixed")
    def test_values_of_mixed_types_are_typed(self, vendor: CallRail) -> None:
        for name, entity in ENTITIES.items():
            coercer = Coercer("callrail", entity)
            table = coercer.table([json.dumps(record).encode() for record in read(entity).records])
            assert coercer.rejects == []
            assert table.num_rows == len(vendor.ids(LISTS.get(name, name)))

    def test_the_documented_calls_are_typed(self) -> None:
        coercer = Coercer("callrail", CALLS)
        one, other = coercer.table(
            [json.dumps(call).encode() for call in sample("callrail_calls")["calls"]]
        ).to_pylist()
        assert coercer.rejects == []
        assert one["start_time"] == datetime(2026, 5, 2, 17, 41, 0, 236_000, tzinfo=UTC)
        assert (one["duration"], one["recording_duration"], one["value"]) == (143, 143, "250.00")
        assert one["recording_url"].endswith("/recording.json")
        assert json.loads(one["tags"])[0]["name"] == "quote"
        assert (json.loads(other["tags"]), other["value"]) == (["quote", "roof"], "12.5")
        assert other["keywords_spotted"] is other["speaker_percent"] is other["custom_fields"] is None

    def test_the_documented_account_is_typed(self) -> None:
        coercer = Coercer("callrail", ENTITIES["accounts"])
        (account,) = coercer.table(
            [json.dumps(one).encode() for one in sample("callrail_accounts")["accounts"]]
        ).to_pylist()
        assert account["created_at"] == datetime(2026, 2, 10, 8, 43, 50, tzinfo=UTC)
        assert account["numeric_id"] == "100200300"

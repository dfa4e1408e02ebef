"""What is odd about LeadConduit, read over HTTP from its simulator or from a documented answer."""

import itertools
import json
import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from warehouse_pipelines.errors import AnswerChanged, CredentialRefused, CursorStuck
from warehouse_pipelines.loading.coerce import Coercer
from warehouse_pipelines.loading.options import Purpose
from warehouse_pipelines.model.entity import Entity
from warehouse_pipelines.model.reading import Window
from warehouse_pipelines.simulators.core.wire import Answer, Listener, Request, answer_json
from warehouse_pipelines.simulators.leadconduit.simulator import LeadConduit
from warehouse_pipelines.sources.leadconduit import LEADCONDUIT, Folds, fold, lead, plain
from warehouse_pipelines_tests.harness.fetching import Read, sample, served
from warehouse_pipelines_tests.harness.source_harness import serve_vendor, source_harness

LEADS, EVENTS = LEADCONDUIT.entities


@pytest.fixture
def vendor(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[LeadConduit]:
    """An account with 50 leads and 200 events; ``@of(...)`` gives settings."""
    with serve_vendor("leadconduit", monkeypatch, getattr(request, "param", {}), contacts=100) as simulators:
        yield simulators.of(LeadConduit)


@pytest.fixture
def vendor_answers(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Mapping[str, Any]], None]]:
    """Makes a server of documented answers, by path, the vendor of this test."""
    with ExitStack() as stack:

        def serve(answers: Mapping[str, Any]) -> None:
            monkeypatch.setenv("LEADCONDUIT_API_KEY", "any")
            monkeypatch.setenv("LEADCONDUIT_BASE_URL", stack.enter_context(served(answers)))

        yield serve


def of(**settings: Any) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("vendor", [settings], indirect=True, ids=str)


def read(entity: Entity, since: datetime | None = None, until: datetime | None = None, **how: Any) -> Read:
    return Read(LEADCONDUIT, entity, since, until, **how)


def ago(**span: float) -> datetime:
    return datetime.now(UTC) - timedelta(**span)


def queries(vendor: LeadConduit) -> list[dict[str, str]]:
    return [{name: values[0] for name, values in entry["query"].items()} for entry in vendor.requests()["log"]]


def rows(entity: Entity, records: list[Any]) -> list[dict[str, Any]]:
    coercer = Coercer("leadconduit", entity)
    table = coercer.table([json.dumps(record).encode() for record in records])
    assert coercer.rejects == []
    return list(table.to_pylist())


class TestFeed:
    @pytest.mark.parametrize("vendor", [{}, {"wrapped": True}, {"most": 7}], indirect=True, ids=str)
    @pytest.mark.parametrize("page_size", [3, 100, 200, 1000])
    def test_everything_comes_once_oldest_first(self, vendor: LeadConduit, page_size: int) -> None:
        """Also where pages are shorter than what was asked for."""
        found = [event["id"] for event in read(EVENTS, page_size=page_size).records]
        assert found == vendor.ids("events")
        assert len(found) == 200

    def test_the_order_is_asked_for_and_the_last_id_is_exclusive(self, vendor: LeadConduit) -> None:
        read(EVENTS, ago(days=30), page_size=5).finished()
        asked = queries(vendor)
        assert {query["sort"] for query in asked} == {"asc"}
        assert [query.get("after_id") for query in asked[:2]] == [None, read(EVENTS, ago(days=30)).records[4]["id"]]
        assert {query["start"] for query in asked} == {asked[0]["start"]}

    def test_the_start_is_inclusive(self, vendor: LeadConduit) -> None:
        event = vendor.record(vendor.ids("events")[100])
        at = datetime.fromtimestamp(event["end_timestamp"] / 1000, UTC)
        assert read(EVENTS, at).records[0]["id"] == event["id"]

    def test_a_backfill_ends_where_its_day_does(self, vendor: LeadConduit) -> None:
        since, until = ago(days=300), ago(days=200)
        found = read(EVENTS, since, until, backfill=True).records
        written = [datetime.fromtimestamp(event["end_timestamp"] / 1000, UTC) for event in found]
        assert since <= min(written) <= max(written) <= until
        assert {query["end"][:16] for query in queries(vendor)} == {until.isoformat()[:16]}

    @pytest.mark.parametrize("entity", [LEADS, EVENTS], ids=lambda entity: entity.name)
    @pytest.mark.parametrize("fault", ["repeat_page", "endless"])
    def test_a_feed_without_an_end_is_stopped(self, vendor: LeadConduit, entity: Entity, fault: str) -> None:
        vendor.set_fault(fault)
        with pytest.raises(CursorStuck):
            read(entity, page_size=50).finished()

    @pytest.mark.parametrize("seconds", [[100, 39], [100, 60, 30], [200, 201, 202, 120]])
    def test_a_vendor_that_ignores_the_order_is_noticed(
        self, vendor_answers: Callable[..., None], seconds: list[int]
    ) -> None:
        vendor_answers({"/events": [{"id": f"{second:08x}{0:016x}"} for second in seconds]})
        with pytest.raises(CursorStuck, match="not sorted"):
            read(EVENTS).finished()

    @pytest.mark.parametrize(
        ("by_id", "page_size"), [(False, 2), (False, 3), (False, 50), (False, 1000), (True, 20), (True, 1000)]
    )
    def test_events_that_are_a_little_out_of_order_are_all_read(
        self, monkeypatch: pytest.MonkeyPatch, by_id: bool, page_size: int
    ) -> None:
        """Whether the vendor goes on after an id by comparing ids or by its place in the feed is not known."""
        chance = random.Random(page_size)  # noqa: S311
        ids = [f"{int(10_000 + 9 * place + chance.choice((0, 0, 0, 12))):08x}{place:016x}" for place in range(300)]
        assert ids != sorted(ids)

        def respond(request: Request) -> Answer:
            after = request.first("after_id")
            start = ids.index(after) + 1 if after else 0
            left = [key for key in ids if key > after] if by_id else ids[start:]
            return answer_json(200, [{"id": key} for key in left[:page_size]])

        listener = Listener("127.0.0.1", 0, respond)
        monkeypatch.setenv("LEADCONDUIT_API_KEY", "any")
        monkeypatch.setenv("LEADCONDUIT_BASE_URL", listener.url)
        try:
            reading = read(EVENTS, page_size=page_size)
            assert sorted(reading.ids) == sorted(ids)
        finally:
            listener.close()
        assert reading.context.noted == {"events_not_in_order": True}

    def test_an_id_of_another_form_stops_nothing(self, vendor_answers: Callable[..., None]) -> None:
        events = [{"id": f"{5:024x}"}, {"id": "none of theirs"}, {"id": f"{6:024x}"}]
        pages = iter([events, []])
        vendor_answers({"/events": lambda request: next(pages)})
        assert read(EVENTS).records == events

    @pytest.mark.parametrize("seconds", [[5, 4], [5, 5, 4], [5, 4, 3]])
    def test_a_few_events_of_nearly_the_same_second_are_read(
        self, vendor_answers: Callable[..., None], seconds: list[int]
    ) -> None:
        events = [{"id": f"{second:08x}{place:016x}"} for place, second in enumerate(seconds)]
        pages = iter([events, []])
        vendor_answers({"/events": lambda request: next(pages)})
        assert read(EVENTS).records == events

    @pytest.mark.parametrize("wrapped", [False, True])
    def test_a_null_instead_of_the_last_page_is_the_end(self, vendor: LeadConduit, wrapped: bool) -> None:
        vendor.configure(wrapped=wrapped)
        vendor.set_fault("null_last_page")
        assert len(read(EVENTS, page_size=50).records) == 200

    @pytest.mark.parametrize("answer", [{"message": "no"}, "no", 7, [{"id": "short"}], [{"type": "source"}]])
    def test_what_is_no_feed_is_an_error(self, vendor_answers: Callable[..., None], answer: Any) -> None:
        vendor_answers({"/events": answer})
        with pytest.raises(AnswerChanged):
            read(EVENTS).finished()

    def test_an_answer_without_its_list_is_an_error(self, vendor: LeadConduit) -> None:
        vendor.set_fault("missing_list")
        with pytest.raises(AnswerChanged):
            read(EVENTS).finished()

    def test_an_event_that_is_none_is_left_to_the_loader(self, vendor: LeadConduit) -> None:
        for entity in (EVENTS, LEADS):
            vendor.set_fault("malformed", what="non_object", times=1)
            assert b'"not a record"' in read(entity).raw

    def test_what_is_written_during_the_walk_is_read(self, vendor: LeadConduit) -> None:
        reading = read(EVENTS, page_size=50)
        reading.step()
        vendor.create_lead()
        assert [event["id"] for event in reading.records] == vendor.ids("events")


class TestFold:
    """A lead is the fold over its events, whatever their order and however often they come."""

    def test_the_order_of_the_events_does_not_matter_nor_their_number(self, vendor: LeadConduit) -> None:
        key = vendor.ids("leads")[0]
        vendor.resubmit(key, city="Mason")
        vendor.add_event(key, "feedback", outcome="return")
        vendor.add_event(key, "feedback", started=1, outcome="late and old")
        events = [event for event in read(EVENTS).records if event["vars"]["lead"]["id"] == key]
        assert len(events) == 7
        chance = random.Random(1)  # noqa: S311
        folded = set()
        for _ in range(50):
            newest: dict[str, Any] = {}
            shuffled = chance.choices(events, k=5) + chance.sample(events, k=len(events))
            fold(newest, shuffled[:4])
            fold(newest, shuffled[4:])
            folded.add(lead(key, newest))
        assert len(folded) == 1
        record = msgspec.json.decode(folded.pop())
        assert record["lead"]["city"] == "Mason"
        assert record["events"]["feedback"]["outcome"] == "return"
        assert set(record["events"]) == {"filter", "recipient", "source", "feedback"}

    def test_of_two_events_of_one_moment_the_later_id_wins(self) -> None:
        one, other = ({"id": key, "type": "source", "start_timestamp": 5} for key in "ab")
        for events in ([one, other], [other, one]):
            newest: dict[str, Any] = {}
            fold(newest, events)
            assert newest == {"source": other}

    @pytest.mark.parametrize(
        ("value", "says"),
        [
            ("text", "text"),
            (7, 7),
            (None, None),
            ({"raw": "r", "normal": "n"}, "n"),
            ({"raw": "r", "normal": None}, "r"),
            ({"raw": "r"}, "r"),
            ({"valid": False}, None),
            ([{"raw": "first"}, "second"], "first"),
            ([], None),
        ],
    )
    def test_a_field_is_plain_or_has_parts(self, value: Any, says: Any) -> None:
        assert plain(value) == says

    def test_however_the_values_are_written_the_rows_are_the_same(self, vendor: LeadConduit) -> None:
        names = [name for name in LEADS.columns if name != "phone"]
        found = []
        for typed in ("plain", "objects", "mixed"):
            vendor.configure(typed=typed)
            of_all = sorted(rows(LEADS, read(LEADS).records), key=lambda row: row["lead_id"])
            found.append([[row[name] for name in (*names, "phone_e164")] for row in of_all])
        assert found[0] == found[1] == found[2]
        assert all("{" not in str(value) for row in found[0] for value in row)

    def test_the_documented_event_is_a_lead(self, vendor_answers: Callable[..., None]) -> None:
        documented = sample("leadconduit_events")
        vendor_answers({"/events": lambda request: [] if request.first("after_id") else documented})
        (event,) = rows(EVENTS, read(EVENTS).records)
        assert (event["id"], event["lead_id"]) == ("5fd4371e940df5a34a3888b2", "5fd4371e940df5a34a388800")
        assert event["start_timestamp"] == datetime(2025, 3, 1, 14, 3, 11, 120_000, tzinfo=UTC)
        assert (event["outcome"], event["reason"], event["ms"], event["cost"]) == (
            "failure",
            "Duplicate lead",
            860,
            "0",
        )
        records = read(LEADS).records
        (row,) = rows(LEADS, records)
        assert (row["id"], row["lead_id"]) == ("5fd4371e940df5a34a3888b2", "5fd4371e940df5a34a388800")
        assert (row["first_name"], row["last_name"], row["email"]) == ("George", "Test", "g@example.org")
        assert (row["phone"], row["address"], row["city"]) == ("(512) 555-1212", "1 Main", "Austin")
        assert (row["state"], row["zip"], row["source"], row["campaign"]) == ("TX", "78704", "Angi", "Web leads")
        assert row["created_at"] == datetime(2025, 3, 1, 14, 3, 11, 120_000, tzinfo=UTC)
        assert (row["accepted"], row["reference"]) == (False, "A-17")
        assert records[0]["events"] == {"source": documented[0]}

    def test_a_lead_that_is_still_on_its_way_is_neither_accepted_nor_refused(self) -> None:
        event = {**sample("leadconduit_events")[0], "type": "recipient"}
        del event["vars"]["submission"]
        (row,) = rows(LEADS, [json.loads(lead("a", {"recipient": event}))])
        assert (row["accepted"], row["outcome"]) == (None, "failure")
        assert row["created_at"] == datetime(2025, 3, 1, 14, 3, 11, 120_000, tzinfo=UTC)

    def test_an_event_of_no_lead_is_counted(self, vendor_answers: Callable[..., None]) -> None:
        event = sample("leadconduit_events")[0]
        events = [event, {**event, "id": f"{event['id'][:-1]}3", "vars": {}}]
        vendor_answers({"/events": lambda request: [] if request.first("after_id") else events})
        reading = read(LEADS)
        assert len(reading.records) == 1
        assert reading.context.noted == {"events_without_lead": 1}

    def test_a_read_that_is_limited_ends_early(self, vendor: LeadConduit) -> None:
        reading = read(LEADS, page_size=10, limit=3)
        assert len(reading.records) >= 3
        assert reading.calls < 3

    def test_the_folds_are_not_held(self, vendor: LeadConduit) -> None:
        reading = read(LEADS)
        folds = Folds(reading.request, reading.context)
        (file,) = folds._file.execute("PRAGMA database_list").fetchall()
        assert file[2] == ""  # a temporary file, and not :memory:
        folds.close()


class TestLeadsInTheWarehouse:
    def test_a_later_event_changes_a_lead_of_long_ago(self, database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
        with source_harness("leadconduit_lead", database_url, monkeypatch) as it:
            it.sync()
            key = it.simulator.ids("leads")[0]
            before = it.rows()[(key,)]
            event = it.simulator.add_event(key, "feedback", outcome="success", reason="sold")
            result = it.sync()
            assert (result.mode, result.updated, result.created) == ("delta", 1, 0)
            row = it.rows()[(key,)]
            assert set(row["raw_data"]["events"]) == {"filter", "recipient", "source", "feedback"}
            assert row["raw_data"]["events"]["feedback"]["id"] == event
            assert row["id"] == before["id"]
            assert (row["first_name"], row["created_at"]) == (before["first_name"], before["created_at"])

            assert it.sync().updated == 0
            full = it.sync(full=True)
            assert (full.updated, full.unchanged) == (0, len(it.rows()))

    def test_a_second_submission_is_the_lead_from_then_on(
        self, database_url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with source_harness("leadconduit_lead", database_url, monkeypatch) as it:
            it.sync()
            key = it.simulator.ids("leads")[0]
            it.simulator.resubmit(key, email={"raw": "NEW@EXAMPLE.TEST", "normal": "new@example.test"})
            it.sync()
            row = it.rows()[(key,)]
            assert (row["email"], row["id"]) == ("new@example.test", it.simulator.ids("events")[-1])

    def test_what_the_vendor_no_longer_keeps_stays_as_it_was(
        self, database_url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Events that its retention took are no deletion; a lead with a later event keeps its result."""
        lives = {}
        for table in ("leadconduit_event", "leadconduit_lead"):
            with source_harness(table, database_url, monkeypatch) as it:
                leads = it.simulator.ids("leads")
                it.simulator.add_event(leads[0], "feedback", outcome="success", reason="sold")
                it.sync()
                before = it.rows()
                times = sorted(row[str(it.entity.cursor)] for row in before.values())
                it.simulator.configure(retention_days=(datetime.now(UTC) - times[len(times) // 2]) / timedelta(days=1))
                it.simulator.purge(leads[-1])
                result = it.sync(full=True)
                lives[table] = before.keys() - it.living()
                assert (result.status, result.deleted) == ("success", len(lives[table]))
                if table == "leadconduit_lead":
                    assert it.rows()[(leads[0],)] == before[(leads[0],)]
        assert lives["leadconduit_lead"] == {(leads[-1],)}
        assert len(lives["leadconduit_event"]) == 4

    @pytest.mark.slow("rarer behaviour of a vendor")
    def test_what_a_slow_step_wrote_late_is_read(self, database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """Its own time lies before the window; the feed goes by the time it was written."""
        long_ago = int((datetime.now(UTC) - timedelta(days=3)).timestamp() * 1000)
        for table in ("leadconduit_event", "leadconduit_lead"):
            with source_harness(table, database_url, monkeypatch) as it:
                it.simulator.create_lead()
                it.sync()
                key = it.simulator.ids("leads")[0]
                it.simulator.add_event(key, "retry", started=long_ago)
                result = it.sync()
                assert (result.mode, result.created + result.updated, result.filtered) == ("delta", 1, 0)

    @pytest.mark.slow("rarer behaviour of a vendor")
    def test_days_may_be_backfilled_in_any_order(self, database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
        with source_harness("leadconduit_lead", database_url, monkeypatch) as it:
            key = it.simulator.ids("leads")[-1]
            it.simulator.resubmit(key, city="Mason")
            now = datetime.now(UTC) + timedelta(minutes=1)
            ends = [now - timedelta(days=700), now - timedelta(days=300), now - timedelta(minutes=5), now]
            windows = [Window(since, until) for since, until in itertools.pairwise(ends)]
            for window in (*windows[::-1], *windows):
                it.sync(purpose=Purpose.backfill(window))
            found = {key: row["raw_data"] for key, row in it.rows().items()}
            it.execute("TRUNCATE leadconduit_lead")
            it.sync(full=True)
            assert {key: row["raw_data"] for key, row in it.rows().items()} == found
            assert found[(key,)]["lead"]["city"] == "Mason"

    @pytest.mark.slow("rarer behaviour of a vendor")
    def test_a_limited_read_of_everything_forgets_no_event(
        self, database_url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with source_harness("leadconduit_lead", database_url, monkeypatch) as it:
            it.simulator.add_event(it.simulator.ids("leads")[0], "feedback")
            it.sync()
            before = it.rows()
            it.sync(full=True, force=True, max_records=1, batch_size=1)
            assert {key: row["raw_data"] for key, row in it.rows().items()} == {
                key: row["raw_data"] for key, row in before.items()
            }


class TestAccess:
    def test_the_key_is_a_password(self, vendor: LeadConduit, monkeypatch: pytest.MonkeyPatch) -> None:
        vendor.configure(user="API")
        assert LEADCONDUIT.check() == "LeadConduit answers: the key can read events"
        monkeypatch.setenv("LEADCONDUIT_USER", "somebody")
        with pytest.raises(CredentialRefused):
            LEADCONDUIT.check()

    def test_a_wrong_key_is_reported_and_not_shown(self, vendor: LeadConduit, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("LEADCONDUIT_API_KEY", "a-wrong-secret")
        with pytest.raises(CredentialRefused) as refused:
            LEADCONDUIT.check()
        assert "a-wrong-secret" not in f"{refused.value} {LEADCONDUIT.settings()!r}"

    @of(plan=False)
    def test_a_plan_without_events_is_a_refused_credential(self, vendor: LeadConduit) -> None:
        with pytest.raises(CredentialRefused):
            read(LEADS).finished()

    def test_each_request_takes_its_place_in_the_budget(self, vendor: LeadConduit) -> None:
        reading = read(EVENTS, page_size=50).finished()
        assert [budget.name for budget in reading.taken] == ["minute"] * reading.calls

    @pytest.mark.parametrize("retry_after", [None, 0, "date"])
    def test_a_short_limit_is_waited_for(self, vendor: LeadConduit, retry_after: Any) -> None:
        vendor.set_fault("rate_limit", times=2, retry_after=retry_after, seconds=0)
        assert len(read(EVENTS).records) == 200

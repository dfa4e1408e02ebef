"""What is odd about SalesRabbit, read over HTTP from its simulator or from a documented answer."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from warehouse_pipelines.errors import AnswerChanged, CredentialRefused, CursorStuck, RequestRefused, VendorUnavailable
from warehouse_pipelines.loading.coerce import Coercer
from warehouse_pipelines.model.entity import Entity
from warehouse_pipelines.simulators.salesrabbit.simulator import SalesRabbit
from warehouse_pipelines.sources.salesrabbit import FILTERS, SALESRABBIT, WALKS
from warehouse_pipelines_tests.harness.fetching import Read, sample, served
from warehouse_pipelines_tests.harness.source_harness import serve_vendor, source_harness

ENTITIES = {entity.name: entity for entity in SALESRABBIT.entities}
LEADS, USERS, HISTORIES = SALESRABBIT.entities
ORDERS = ("modified", "newest", "created", "any")


@pytest.fixture
def vendor(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[SalesRabbit]:
    """An account with 110 leads; ``@of(...)`` gives settings."""
    with serve_vendor("salesrabbit", monkeypatch, getattr(request, "param", {}), contacts=100) as simulators:
        yield simulators.of(SalesRabbit)


@pytest.fixture
def vendor_answers(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Mapping[str, Any]], None]]:
    """Makes a server of documented answers, by path, the vendor of this test."""
    with ExitStack() as stack:

        def serve(answers: Mapping[str, Any]) -> None:
            monkeypatch.setenv("SALESRABBIT_API_TOKEN", "any")
            monkeypatch.setenv("SALESRABBIT_BASE_URL", stack.enter_context(served(answers)))

        yield serve


def of(**settings: Any) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("vendor", [settings], indirect=True, ids=str)


def each(name: str, *values: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("vendor", [{name: value} for value in values], indirect=True, ids=str)


def read(entity: Entity, since: datetime | None = None, until: datetime | None = None, **how: Any) -> Read:
    return Read(SALESRABBIT, entity, since, until, **how)


def ago(**span: float) -> datetime:
    return datetime.now(UTC) - timedelta(**span)


def ids(reading: Read) -> list[int]:
    return [record["id"] for record in reading.records]


def rows(entity: Entity, records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The records as they are typed; none may be refused."""
    coercer = Coercer("salesrabbit", entity)
    table = coercer.table([json.dumps(record).encode() for record in records])
    assert coercer.rejects == []
    return list(table.to_pylist())


class TestPages:
    @each("order", *ORDERS)
    @pytest.mark.parametrize("name", list(ENTITIES))
    def test_everything_comes_once_in_whatever_order(self, vendor: SalesRabbit, name: str) -> None:
        records = read(ENTITIES[name], page_size=7).records
        keys = [record.get("eventId", record["id"]) for record in records]
        assert len(keys) == len(set(keys)) == vendor.counts()[name]

    @each("more_pages", "exact", "full")
    def test_one_page_is_asked_for_once_and_several_are_walked_twice(self, vendor: SalesRabbit) -> None:
        extra = vendor.settings.more_pages == "full"
        assert read(LEADS).calls == 1
        assert read(LEADS, page_size=55).calls == 2 * (2 + extra)

    def test_no_more_is_asked_for_than_the_vendor_gives(self, vendor: SalesRabbit) -> None:
        read(LEADS, page_size=5000).finished()
        assert vendor.requests()["log"][0]["query"]["perPage"] == ["2000"]

    @pytest.mark.parametrize("name", list(ENTITIES))
    @pytest.mark.parametrize("fault", ["repeat_page", "endless"])
    def test_a_list_without_an_end_is_stopped(self, vendor: SalesRabbit, name: str, fault: str) -> None:
        vendor.set_fault(fault)
        with pytest.raises(CursorStuck, match=ENTITIES[name].path):
            read(ENTITIES[name], page_size=5).finished()

    @pytest.mark.parametrize("name", list(ENTITIES))
    def test_a_null_instead_of_the_last_page_is_the_end(self, vendor: SalesRabbit, name: str) -> None:
        vendor.set_fault("null_last_page")
        assert len(read(ENTITIES[name], page_size=5).records) == vendor.counts()[name]

    @pytest.mark.parametrize("name", list(ENTITIES))
    def test_an_answer_without_its_list_is_an_error(self, vendor: SalesRabbit, name: str) -> None:
        vendor.set_fault("missing_list")
        with pytest.raises(AnswerChanged, match=ENTITIES[name].path):
            read(ENTITIES[name]).finished()

    @pytest.mark.parametrize("data", [{"1": [{"id": 1}]}, None, {"message": "none"}])
    def test_a_list_that_is_none_is_an_error(self, vendor_answers: Callable[..., None], data: Any) -> None:
        vendor_answers({"/leads": {"meta": {"morePages": False}, "data": data}})
        with pytest.raises(AnswerChanged, match="leads"):
            read(LEADS).finished()

    def test_an_empty_history_may_be_a_list(self, vendor_answers: Callable[..., None]) -> None:
        vendor_answers({"/leadStatusHistories": {"meta": {"morePages": False}, "data": []}})
        assert read(HISTORIES).records == []

    @of(more_pages="absent")
    def test_a_list_that_does_not_say_whether_more_follows_is_believed_when_it_is_short(
        self, vendor: SalesRabbit
    ) -> None:
        assert len(read(LEADS).records) == 110
        with pytest.raises(AnswerChanged, match="does not say"):
            read(LEADS, page_size=110).finished()

    def test_a_record_without_an_id_is_left_to_the_loader_once(self, vendor: SalesRabbit) -> None:
        vendor.set_fault("malformed", what="missing_id")
        records = read(LEADS, page_size=50).records
        assert sum("id" not in record for record in records) == 3
        assert len(records) == 110

    def test_what_is_no_record_is_left_to_the_loader(self, vendor: SalesRabbit) -> None:
        vendor.set_fault("malformed", what="non_object", times=1)
        assert b'"not a record"' in read(HISTORIES).raw


class TestChangesDuringTheWalk:
    """A list of pages that shifts under the reader loses nothing that was there before the run."""

    @pytest.mark.parametrize("vendor", [{"order": order, "sorts": False} for order in ORDERS], indirect=True, ids=str)
    @pytest.mark.parametrize("change", ["edit", "delete", "create"])
    @pytest.mark.parametrize("since", [None, 400])
    def test_nothing_is_hidden(self, vendor: SalesRabbit, change: str, since: int | None) -> None:
        bound = ago(days=since) if since else None
        wanted = set(ids(read(LEADS, bound)))
        reading = read(LEADS, bound, page_size=10)
        changed = set()
        for _ in range(4):
            shown = [json.loads(record)["id"] for record in reading.step().records]
            if change == "create":
                vendor.create_lead()
                continue
            for lead in shown[2:5]:
                changed.add(lead)
                if change == "edit":
                    vendor.edit_lead(lead, notes="edited during the walk")
                else:
                    vendor.delete_lead(lead)
        found = ids(reading)
        assert wanted <= set(found)
        assert len(found) == len(set(found))

    def test_a_list_that_does_not_come_to_rest_fails_the_run(self, vendor: SalesRabbit) -> None:
        reading = read(LEADS, page_size=20)
        early = (datetime.now(UTC) - timedelta(days=1)).isoformat(timespec="seconds")

        def read_on() -> None:
            while reading.step():
                vendor.create_lead(dateModified=early)

        with pytest.raises(VendorUnavailable, match=f"{WALKS} walks"):
            read_on()

    def test_what_is_new_since_the_run_began_is_left_to_the_next(self, vendor: SalesRabbit) -> None:
        reading = read(LEADS, until=ago(seconds=5), page_size=20)
        for _ in range(12):
            reading.step()
            vendor.create_lead()
        assert reading.calls <= 2 * 7 + 1


class TestFilters:
    @pytest.mark.parametrize("name", list(ENTITIES))
    def test_the_lower_bound_is_a_header_of_every_page(self, vendor: SalesRabbit, name: str) -> None:
        for _ in range(3):
            vendor.create_lead()
            vendor.create_user()
        since = ago(hours=1).replace(microsecond=999_999)
        reading = read(ENTITIES[name], since, page_size=2)
        assert len(reading.records) == 3
        sent = {entry["conditions"][FILTERS[ENTITIES[name].path].lower()] for entry in vendor.requests()["log"]}
        assert sent == {since.isoformat(timespec="seconds")}
        assert reading.calls == 4

    def test_a_whole_read_has_no_condition(self, vendor: SalesRabbit) -> None:
        read(LEADS).finished()
        assert vendor.requests()["log"][0]["conditions"] == {}

    @each("nothing_new", "304", "200")
    @pytest.mark.parametrize("name", list(ENTITIES))
    def test_nothing_new_is_no_error(self, vendor: SalesRabbit, name: str) -> None:
        vendor.configure(nothing_new=int(vendor.settings.nothing_new))
        reading = read(ENTITIES[name], ago(seconds=1))
        assert reading.records == []
        assert reading.report.changes_only == (vendor.settings.nothing_new == 304)
        assert reading.calls == 1

    def test_not_modified_is_no_answer_to_a_question_without_a_condition(self, vendor: SalesRabbit) -> None:
        vendor.set_fault("status", status=304, body="empty")
        with pytest.raises(RequestRefused, match="304"):
            read(LEADS).finished()

    @each("history_items", "new", "all")
    def test_a_new_status_comes_with_the_next_delta(self, vendor: SalesRabbit) -> None:
        lead = vendor.ids("leads")[0]
        vendor.set_status(lead, "Sold")
        events = read(HISTORIES, ago(minutes=5)).records
        assert [event["name"] for event in events if event["leadId"] == str(lead)][-1] == "Sold"
        assert read(LEADS, ago(minutes=5)).records[-1]["status"] == "Sold"

    def test_what_changes_in_the_second_of_the_bound_is_not_lost(
        self, database_url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Even if the vendor takes the bound for an exclusive one."""
        with source_harness("salesrabbit_lead", database_url, monkeypatch, inclusive=False) as it:
            it.simulator.create_lead()
            cursor = it.sync().watermark
            assert cursor is not None
            it.simulator.edit_lead(it.simulator.ids("leads")[0], at=int(cursor.timestamp()), notes="late")
            assert it.sync().updated == 1


class TestRecords:
    def test_flat_and_nested_leads_are_the_same_rows(self, vendor: SalesRabbit) -> None:
        names = [name for name in LEADS.columns if name not in {"campaign_id", "date_of_birth", "files"}]
        shapes = []
        for shape in ("flat", "nested", "mixed"):
            vendor.configure(shape=shape)
            shapes.append([[row[name] or None for name in names] for row in rows(LEADS, read(LEADS).records)])
        assert shapes[0] == shapes[1] == shapes[2]
        assert any(row[names.index("latitude")] for row in shapes[0])

    def test_the_documented_leads_are_typed(self, vendor_answers: Callable[..., None]) -> None:
        vendor_answers({"/leads": sample("salesrabbit_leads")})
        flat, nested = rows(LEADS, read(LEADS).records)
        assert (flat["id"], flat["user_id"], flat["latitude"]) == (90211, 911700001, "39.700123456789")
        assert flat["last_modified"] == datetime(2021, 5, 6, 1, 2, 4, tzinfo=UTC)
        assert flat["created_at"] == datetime(2021, 5, 6, 1, 2, 3, tzinfo=UTC)
        assert (flat["prospect_name"], flat["prospect_phone"], flat["prospect_email"]) == (None, None, None)
        assert (flat["prospect_address"], flat["disposition_id"]) == ("12 Sample St Denver CO 80200", "Not Home")
        assert (flat["appointment"], flat["custom_fields"], flat["created_by"]) == (None, "{}", "Rep Example")
        assert (nested["prospect_name"], nested["prospect_phone_e164"]) == ("Pat Sample", "+19372260100")
        assert nested["prospect_address"] == "14 Sample St Apt 2 Denver CO 80200"
        assert (nested["city"], nested["longitude"], nested["campaign_id"]) == ("Denver", "-104.90012345678", 4001)
        assert str(nested["date_of_birth"]) == "1961-04-05"
        assert not flat["archived"]
        assert not nested["archived"]

    def test_the_documented_history_is_typed(self, vendor_answers: Callable[..., None]) -> None:
        vendor_answers({"/leadStatusHistories": sample("salesrabbit_lead_status_histories")})
        records = read(HISTORIES).records
        first, second = rows(HISTORIES, records)
        assert first["id"] == "90211/205/2021-05-06T01:02:03+00:00"
        assert (second["lead_id"], second["status_id"], second["status"]) == (90211, 212, "Objection - Follow Up")
        assert second["changed_by_user_id"] == 911700001
        assert second["status_updated"] == datetime(2021, 5, 7, 11, 12, 13, tzinfo=UTC)
        (items,) = sample("salesrabbit_lead_status_histories")["data"].values()
        assert [{**record, **item} for record, item in zip(records, items, strict=True)] == records

    @pytest.mark.parametrize(("field", "value"), [("latitude", 91), ("longitude", "-180.1")])
    def test_a_place_that_is_not_on_earth_is_loaded_with_a_warning(
        self, vendor: SalesRabbit, field: str, value: Any
    ) -> None:
        """The rest of the lead is worth having, and what the vendor says can be seen."""
        vendor.edit_lead(vendor.ids("leads")[0], **{field: value})
        coercer = Coercer("salesrabbit", LEADS)
        table = coercer.table([json.dumps(record).encode() for record in read(LEADS).records])
        assert (coercer.rejects, dict(coercer.warnings)) == ([], {f"warn:{field}": 1})
        assert str(value) in table[field].to_pylist()


class TestAccess:
    def test_each_request_takes_its_place_in_the_budget(self, vendor: SalesRabbit) -> None:
        reading = read(LEADS, page_size=50).finished()
        assert [budget.name for budget in reading.taken] == ["minute"] * reading.calls

    @pytest.mark.parametrize("retry_after", [None, 0, "date"])
    def test_a_short_limit_is_waited_for(self, vendor: SalesRabbit, retry_after: Any) -> None:
        vendor.set_fault("rate_limit", times=2, retry_after=retry_after, seconds=0)
        assert len(read(LEADS).records) == 110

    def test_a_wrong_token_is_reported_and_not_shown(
        self, vendor: SalesRabbit, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SALESRABBIT_API_TOKEN", "a-wrong-secret")
        with pytest.raises(CredentialRefused) as refused:
            SALESRABBIT.check()
        assert "a-wrong-secret" not in str(refused.value)
        assert "a-wrong-secret" not in repr(SALESRABBIT.settings())

    def test_a_right_token_is_reported(self, vendor: SalesRabbit) -> None:
        assert SALESRABBIT.check() == "SalesRabbit answers: the token can read leads"


class TestDeletions:
    @pytest.mark.parametrize("moves", [True, False])
    @pytest.mark.slow("rarer behaviour of a vendor")
    def test_a_lead_that_is_shown_as_deleted_is_a_tombstone(
        self, moves: bool, database_url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """By the next delta when that moves dateModified, else by the day's whole read."""
        settings: dict[str, Any] = {"deleted": "shown", "deleting_modifies": moves}
        with source_harness("salesrabbit_lead", database_url, monkeypatch, **settings) as it:
            it.sync()
            key = it.simulator.ids("leads")[0]
            it.simulator.delete_lead(key)
            if not moves:
                assert it.sync().deleted == 0
                it.execute("UPDATE orchestration.sync_history SET start_time = start_time - interval '25 hours'")
            result = it.sync()
            assert (result.mode, result.deleted) == ("delta" if moves else "full", 1)
            row = it.rows()[(str(key),)]
            assert (row["archived"], row["delete_reason"]) == (True, "archived")
            assert datetime.now(UTC) - row["deleted_at"] < timedelta(minutes=1)
            (hidden,) = it.query("SELECT count(*) FROM salesrabbit_lead_v1 WHERE id = %s", key)
            assert hidden["count"] == 0

    def test_a_lead_that_is_no_longer_shown_is_a_tombstone_within_a_day(
        self, database_url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with source_harness("salesrabbit_lead", database_url, monkeypatch) as it:
            it.sync()
            key = it.simulator.ids("leads")[0]
            it.simulator.delete_lead(key)
            assert it.sync().mode == "delta"
            it.execute("UPDATE orchestration.sync_history SET start_time = start_time - interval '25 hours'")
            result = it.sync()
            assert (result.mode, result.deleted) == ("full", 1)
            assert it.rows()[(str(key),)]["delete_reason"] == "missing"


def test_the_view_has_the_names_of_the_vendor(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has the vendor's createdAt beside created_at of the sync."""
    with source_harness("salesrabbit_lead", database_url, monkeypatch) as it:
        it.sync()
        leads = {row["id"]: row for row in it.rows().values()}
        for view in it.query("SELECT * FROM public.salesrabbit_lead_v1"):
            row = leads.pop(view["id"])
            assert (view["createdAt"], view["lastModified"]) == (row["created_at"], row["last_modified"])
            assert (view["created_at"], view["updated_at"]) == (row["sync_created_at"], row["sync_updated_at"])
            assert (view["prospectName"], view["dispositionId"]) == (row["prospect_name"], row["disposition_id"])
        assert leads == {}

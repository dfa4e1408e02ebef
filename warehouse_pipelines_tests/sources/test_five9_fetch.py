"""What is odd about Five9, read over HTTP from its simulator or from a documented answer."""

import base64
import json
import os
import re
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import pytest

from warehouse_pipelines.errors import (
    AnswerChanged,
    BudgetSpent,
    CredentialRefused,
    CursorStuck,
    PermissionMissing,
    RequestRefused,
    SuspiciousRead,
    VendorUnavailable,
    WarehouseError,
)
from warehouse_pipelines.loading.coerce import Coercer
from warehouse_pipelines.model.reading import ReadContext
from warehouse_pipelines.simulators.core.wire import Answer, Listener, Request
from warehouse_pipelines.simulators.five9.simulator import Five9
from warehouse_pipelines.sources.five9 import FIVE9
from warehouse_pipelines.sources.five9.answers import Field, call_counters, contacts_shown, fault_in
from warehouse_pipelines.sources.five9.domain import date_reader, strptime_format
from warehouse_pipelines.sources.five9.service import Service
from warehouse_pipelines_tests.harness.fetching import SAMPLES, Held, Read
from warehouse_pipelines_tests.harness.source_harness import SourceHarness, serve_vendor, source_harness

(CONTACTS,) = FIVE9.entities
NUMBERED = 10**9  # a domain whose contacts all have a number
BESIDE = 4  # counters, fields, lists, and the contacts without a number
PROOF = 2


@pytest.fixture
def vendor(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[Five9]:
    """A domain of 1,800 contacts; ``@of(...)`` gives settings."""
    settings = {"contacts": 1800, **getattr(request, "param", {})}
    with serve_vendor("five9", monkeypatch, settings, contacts=settings["contacts"]) as simulators:
        yield simulators.of(Five9)


def of(**settings: Any) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("vendor", [settings], indirect=True, ids=str)


def read() -> Read:
    return Read(FIVE9, CONTACTS)


def noticed(reading: Read) -> dict[str, Any]:
    return reading.finished().context.noted


def lookups(vendor: Five9) -> list[list[tuple[str, str]]]:
    """The criteria of each lookup, in order."""
    asked = [entry["body"] for entry in vendor.requests()["log"] if entry["path"].endswith("/getContactRecords")]
    return [re.findall(r"<field>(.*?)</field><value>(.*?)</value>", body) for body in asked]


class TestCompleteness:
    @of(contacts=200)
    def test_a_small_domain_costs_one_lookup_and_its_proof(self, vendor: Five9) -> None:
        reading = read()
        assert reading.ids == sorted(vendor.ids())
        assert reading.report.unproven is None
        assert reading.calls == BESIDE + 1 + PROOF
        assert lookups(vendor)[0] == [("number1", "%")]

    @pytest.mark.parametrize(
        "vendor",
        [
            {},
            {"over_limit": "fault"},
            {"bare_wildcard": "nothing"},
            {"bare_wildcard": "everything"},
            {"no_match": "bare", "sessions": True},
            {"contacts": 1200, "unnumbered": 1},
            {"contacts": 2200, "unnumbered": 2, "over_limit": "fault"},
            pytest.param({"crowd": 1100}, marks=pytest.mark.slow("many records")),  # the same with a fault is quicker
            {"crowd": 1100, "over_limit": "fault"},
        ],
        indirect=True,
        ids=str,
    )
    def test_all_contacts_are_read_and_each_once(self, vendor: Five9) -> None:
        reading = read()
        assert reading.ids == sorted(vendor.ids())
        assert len(set(reading.ids)) == len(reading.ids)
        assert vendor.settings.unnumbered == 1 or reading.report.unproven is None

    def test_a_crowded_part_is_split_until_it_shows_less_than_a_thousand(self, vendor: Five9) -> None:
        assert read().report.unproven is None
        asked = [criteria[0][1] for criteria in lookups(vendor) if len(criteria) == 1]
        for value in asked:
            if re.fullmatch(r"[\d+]+%", value) and len(vendor.lookups.find([("number1", value)])) >= 1000:
                assert {f"{value[:-1]}{digit}%" for digit in "0123456789+"} <= set(asked)

    @pytest.mark.parametrize(
        "vendor", [{}, pytest.param({"contacts": 4550}, marks=pytest.mark.slow("many records"))], indirect=True, ids=str
    )
    @pytest.mark.slow("many records")
    def test_a_split_that_worked_is_looked_for_again_after_a_week_alone(self, vendor: Five9) -> None:
        first = read().finished()
        cost = first.context.calls
        state = first.report.next_state
        assert state
        old = {**state, "proven_at": (datetime.now(UTC) - timedelta(days=7, minutes=1)).isoformat()}
        assert Read(FIVE9, CONTACTS, state=old).finished().context.calls == cost
        vendor.create()
        before = len(lookups(vendor))
        again = Read(FIVE9, CONTACTS, state=state)
        assert again.ids == sorted(vendor.ids())
        assert again.report.unproven is None
        crowded = [part.removeprefix("number1=") for part in json.loads(state["crowded"])]
        assert "%" in crowded
        asked = [criteria[0][1] for criteria in lookups(vendor)[before:] if len(criteria) == 1]
        assert not set(crowded) & set(asked)
        assert again.context.calls == cost - len(crowded)
        assert again.report.next_state == state

    @of(contacts=1300)
    @pytest.mark.slow("rarer behaviour of a vendor")
    def test_a_part_that_is_crowded_no_longer_is_asked_for_as_one_in_the_run_after(self, vendor: Five9) -> None:
        state = read().report.next_state or {}
        assert json.loads(state["crowded"])
        for key in vendor.ids()[:400]:
            vendor.delete(key)
        second = Read(FIVE9, CONTACTS, state=state)
        assert second.ids == sorted(vendor.ids())
        state = second.report.next_state or {}
        assert json.loads(state["crowded"]) == []
        third = Read(FIVE9, CONTACTS, state=state)
        assert third.ids == sorted(vendor.ids())
        assert third.calls <= BESIDE + PROOF + 1

    @of(crowd=1100, contact_id="absent")
    @pytest.mark.slow("many records")
    def test_what_cannot_be_split_any_further_is_an_error(self, vendor: Five9) -> None:
        for name in ("number2", "number3", "zip"):
            vendor.remove_field(name)
        with pytest.raises(SuspiciousRead, match="alike in number1") as caught:
            read().finished()
        assert "0000000000" not in str(caught.value)

    @pytest.mark.parametrize("how", ["nothing", "ignored", "dropped", "fault"])
    @pytest.mark.slow("rarer behaviour of a vendor")
    def test_contacts_without_a_number_that_may_be_missed_are_doubted(self, vendor: Five9, how: str) -> None:
        vendor.configure(empty_value=how)
        reading = read().finished()
        assert len(reading.ids) < len(vendor.ids())
        assert reading.report.unproven is not None
        assert "contacts without a number1" in reading.report.unproven
        assert "FIVE9_ALL_CONTACTS_NUMBERED" in reading.report.unproven

    @pytest.mark.parametrize("how", ["matches", "nothing", "ignored", "dropped", "fault"])
    @of(contacts=300, unnumbered=NUMBERED)
    def test_that_there_are_none_is_proven_or_vouched_for(
        self, vendor: Five9, how: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """An empty answer proves nothing by itself; a contact that lacks another field does."""
        vendor.configure(empty_value=how)
        reading = read()
        assert len(reading.ids) == 300
        assert (reading.report.unproven is None) == (how == "matches")
        monkeypatch.setenv("FIVE9_ALL_CONTACTS_NUMBERED", "true")
        assert read().report.unproven is None

    @of(leading_wildcard=False)
    def test_numbers_that_are_not_digits_and_may_be_missed_are_doubted(self, vendor: Five9) -> None:
        reading = read().finished()
        assert reading.report.unproven is not None
        assert "not of digits only" in reading.report.unproven

    @of(limit=600)
    def test_a_lower_limit_than_documented_is_found_by_the_lists(self, vendor: Five9) -> None:
        reading = read().finished()
        assert len(reading.ids) < 1800
        assert reading.report.unproven is not None
        assert "1800" in reading.report.unproven

    @of(contacts=50)
    def test_a_list_larger_than_what_was_read_is_asked_again(self, vendor: Five9) -> None:
        vendor.set_fault("lying_total", path="/getListsInfo", times=1)
        assert read().report.unproven is None
        vendor.clear_faults()
        vendor.set_fault("lying_total", path="/getListsInfo", add=7)
        reading = read().finished()
        assert len(reading.ids) == 50
        assert reading.report.unproven is not None
        assert "57 contacts, and 50 were found" in reading.report.unproven

    @pytest.mark.slow("rarer behaviour of a vendor")
    def test_what_a_crowd_showed_and_no_part_did_is_read_and_doubted(self, vendor: Five9) -> None:
        """Digits of another alphabet: no part begins with them."""
        odd = [vendor.create({"number1": f"\uff19\uff13\uff17{number}"}) for number in range(900)]
        reading = read()
        assert set(reading.ids) & set(odd)
        assert set(vendor.ids()) - set(odd) <= set(reading.ids)
        assert "crowded lookup" in str(reading.report.unproven)

    @of(contacts=0)
    def test_an_empty_domain_is_proven_by_its_lists(self, vendor: Five9) -> None:
        reading = read()
        assert (reading.ids, reading.report.unproven) == ([], None)

    @pytest.mark.parametrize("fault", ["endless", "repeat_page"])
    @pytest.mark.slow("rarer behaviour of a vendor")
    def test_the_same_contacts_whatever_is_asked_for_are_no_answer(self, vendor: Five9, fault: str) -> None:
        vendor.set_fault(fault, path="/getContactRecords", after=90)
        with pytest.raises(CursorStuck):
            read().finished()
        assert vendor.requests()["total"] < 200

    def test_an_answer_without_its_list_is_an_error(self, vendor: Five9) -> None:
        vendor.set_fault("missing_list", path="/getContactRecords")
        with pytest.raises(AnswerChanged, match="no return"):
            read().finished()

    def test_contacts_that_move_come_and_go_during_the_read(self, vendor: Five9) -> None:
        reading = read()
        first = json.loads(reading.step().records[0])
        others = [each for each in vendor.ids() if each != first["id"] and vendor.record(each)["number1"]]
        behind, away = max(others, key=lambda each: str(vendor.record(each)["number1"])), first["id"]
        vendor.edit(away, {"number1": "9999999999"})
        vendor.delete(behind)
        made = vendor.create({"number1": "9999999998"})
        assert sorted({*vendor.ids()}) == sorted({*reading.ids})
        assert len(reading.ids) == len(set(reading.ids))
        assert made in reading.ids
        assert noticed(reading)["listed_again"] == 1
        assert reading.report.unproven is None

    @pytest.mark.slow("rarer behaviour of a vendor")
    def test_a_contact_that_moves_from_a_part_to_come_to_one_that_was_read_is_not_lost(self, vendor: Five9) -> None:
        reading = Read(FIVE9, CONTACTS, known=Held(living=[*vendor.ids(), "100999999", "0" * 32]))
        reading.step()
        last = max(vendor.ids(), key=lambda each: str(vendor.record(each)["number1"] or ""))
        vendor.edit(last, {"number1": "2000000000"})
        while not any(json.loads(one)["contact"]["number1"] > "3" for one in reading.step().records):
            pass
        assert reading.ids == sorted(vendor.ids())
        assert [("contactID", last)] in lookups(vendor)
        assert [("contactID", "100999999")] in lookups(vendor)
        assert [("contactID", "0" * 32)] not in lookups(vendor)

    @pytest.mark.parametrize(
        "vendor",
        [
            {"contacts": 1150, "crowd": 1100, "over_limit": "fault"},
            pytest.param({"contacts": 1150, "crowd": 1100}, marks=pytest.mark.slow("many records")),
        ],
        indirect=True,
        ids=str,
    )
    def test_ids_of_letters_of_both_cases_are_read_by_a_vendor_that_compares_without_case(
        self, vendor: Five9, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """As ids of Salesforce are; `a%` and `A%` show the same contacts."""
        monkeypatch.setattr(vendor.domain, "_contact_id", lambda n: f"{'aAbB'[n % 4]}{'xX'[n // 4 % 2]}{n}")
        reading = read()
        assert len(reading.ids) == len(set(reading.ids)) == 1150
        assert reading.report.unproven is None
        begins = [value for criteria in lookups(vendor) for name, value in criteria if name == "contactID"]
        assert {"A%", "B%"} <= set(begins)
        assert not {"ax%", "bx%", "Ax%", "Bx%"} & set(begins)

    def test_a_limited_read_asks_no_more_than_it_needs(self, vendor: Five9) -> None:
        reading = read()
        reading.step()
        assert reading.context.calls < 120


class TestKeys:
    @of(contacts=300, contact_id="absent")
    def test_without_an_id_the_key_is_made_of_number_and_name(self, vendor: Five9) -> None:
        first = {(r["contact"]["number1"], r["contact"]["last_name"]): r["id"] for r in read().records}
        made = vendor.ids()[0]
        vendor.edit(made, {"city": "Elsewhere"})
        again = {(r["contact"]["number1"], r["contact"]["last_name"]): r["id"] for r in read().records}
        assert again == first
        assert all(re.fullmatch("[0-9a-f]{32}", key) for key in first.values())

    @of(contacts=300, contact_id="gaps")
    def test_a_contact_without_a_value_of_the_id_has_such_a_key_too(self, vendor: Five9) -> None:
        ids = read().ids
        assert len(set(ids)) == 300
        assert sum(len(key) == 32 for key in ids) == 100

    @of(contacts=60)
    def test_an_id_is_compared_as_it_is_stored(self, vendor: Five9, monkeypatch: pytest.MonkeyPatch) -> None:
        """A UUID is stored in lower case; whether a lookup of one counts the case is not known."""
        keys = [str(uuid.UUID(int=(0xA << 124) + n)) for n in range(61)]
        monkeypatch.setattr(vendor.domain, "_contact_id", lambda number: keys[number].upper())
        reading = Read(FIVE9, CONTACTS, known=Held(living=keys))
        assert reading.ids == keys[:60]
        assert [value for criteria in lookups(vendor) for name, value in criteria if name == "contactID"] == [
            keys[60], keys[60].upper(),
        ]  # fmt: skip

    @of(contacts=300, contact_id="repeated")
    def test_two_contacts_with_one_id_are_two_rows(self, vendor: Five9) -> None:
        ids = read().ids
        assert len(set(ids)) == 300
        assert read().ids == ids
        vendor.edit(vendor.ids()[5], {"city": "Elsewhere"})
        assert read().ids == ids

    @of(contacts=20, contact_id="absent")
    def test_twins_are_told_apart_by_when_they_were_made(self, vendor: Five9) -> None:
        same = {"number1": "6145550100", "first_name": "Ann", "last_name": "Twin"}
        vendor.create({**same, "sys_created_date": "2026-01-02 10:00:00.000"})
        vendor.create({**same, "sys_created_date": "2026-01-01 10:00:00.000"})
        reading = read()
        assert len(set(reading.ids)) == 22
        vendor.create({**same, "sys_created_date": "2026-01-01 10:00:00.000"})
        again = read()
        assert again.ids == reading.ids
        assert noticed(again)["listed_again"] == 1
        assert again.report.unproven is not None

    @of(contacts=20, contact_id="absent")
    def test_a_contact_that_nothing_tells_apart_is_set_aside(self, vendor: Five9) -> None:
        vendor.create({"number1": None, "first_name": None, "last_name": None, "email": "someone@example.test"})
        reading = read()
        coercer = Coercer("five9", CONTACTS)
        table = coercer.table([json.dumps(record).encode() for record in reading.records])
        assert (table.num_rows, [reject.rule for reject in coercer.rejects]) == (20, ["key_missing"])


def typed(reading: Read) -> list[dict[str, Any]]:
    coercer = Coercer("five9", CONTACTS)
    rows: list[dict[str, Any]] = coercer.table([json.dumps(record).encode() for record in reading.records]).to_pylist()
    assert coercer.rejects == []
    return rows


class TestFields:
    @of(contacts=60)
    def test_a_contact_is_typed_as_the_simulator_has_it(self, vendor: Five9) -> None:
        california = ZoneInfo("America/Los_Angeles")
        for row in typed(read()):
            truth = vendor.record(row["id"])
            assert (row["first_name"], row["last_name"], row["phone"]) == (
                truth["first_name"], truth["last_name"], truth["number1"],
            )  # fmt: skip
            assert (row["division"], row["status"]) == (truth["Market"], truth["Lead Status"])
            assert row["email"] == (truth["email"] and truth["email"].lower())
            created = datetime.fromisoformat(str(truth["sys_created_date"])).replace(tzinfo=california)
            assert row["created_date"] == created
            assert row["attempts"] == int(truth["attempts"] or 0)

    @of(contacts=20)
    def test_the_fields_of_the_domain_are_asked_for_at_each_run(self, vendor: Five9) -> None:
        vendor.add_field("Roof pitch (new)", "NUMBER")
        vendor.edit(vendor.ids()[0], {"Roof pitch (new)": "12"})
        (one,) = [record for record in read().records if record["id"] == vendor.ids()[0]]
        assert one["contact"]["Roof pitch (new)"] == "12"
        assert one["contact"].keys() == {each.name for each in vendor.domain.fields}
        vendor.remove_field("Roof pitch (new)")
        assert all("Roof pitch (new)" not in record["contact"] for record in read().records)

    @of(contacts=20)
    def test_fields_that_a_setting_names_are_found_by_another_spelling(
        self, vendor: Five9, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("FIVE9_STATUS_FIELD", "lead_status")
        monkeypatch.setenv("FIVE9_DIVISION_FIELD", "Branch")
        reading = read()
        assert all(row["status"] and row["division"] is None for row in typed(reading))
        assert noticed(reading)["fields_not_there"] == ["Branch"]
        assert "Branch" in FIVE9.check()

    @of(contacts=20)
    def test_without_a_status_the_last_disposition_is_one(self, vendor: Five9, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("FIVE9_STATUS_FIELD", "")
        vendor.remove_field("Lead Status")
        rows = typed(read())
        assert [row["status"] for row in rows] == [row["sys_last_disposition"] for row in rows]
        assert any(row["status"] for row in rows)

    @of(contacts=60)
    def test_dates_are_read_by_their_field_s_format_and_kept_as_received(self, vendor: Five9) -> None:
        for record in read().records:
            truth = vendor.record(record["id"])
            assert {**record["contact"], **record["received"]} == truth
            if given := truth["Appointment Date and Time"]:
                at = datetime.fromisoformat(record["contact"]["Appointment Date and Time"])
                assert at.astimezone(ZoneInfo("America/Los_Angeles")).strftime("%m/%d/%Y %I:%M %p") == given
            if given := truth["PC_Work_Finished"]:
                assert record["contact"]["PC_Work_Finished"] == f"{given[6:]}-{given[:2]}-{given[3:5]}"
            assert record["contact"]["best_time"] == "17:30:00"

    @of(contacts=20)
    def test_a_date_of_another_format_is_kept_and_counted(self, vendor: Five9) -> None:
        vendor.edit(vendor.ids()[0], {"Appointment Date and Time": "tomorrow", "PC_Work_Finished": "31/31/2026"})
        reading = read()
        (one,) = [record for record in reading.records if record["id"] == vendor.ids()[0]]
        assert (one["contact"]["Appointment Date and Time"], one["contact"]["PC_Work_Finished"]) == (
            "tomorrow", "31/31/2026",
        )  # fmt: skip
        assert noticed(reading)["unread_dates"] == {"Appointment Date and Time": 1, "PC_Work_Finished": 1}

    @of(contacts=20)
    def test_a_date_of_another_format_is_a_lost_value_and_no_other_date(self, vendor: Five9) -> None:
        key = vendor.ids()[0]
        vendor.edit(key, {"sys_created_date": "3/4/2026 10:15:00"})
        (one,) = [record for record in read().records if record["id"] == key]
        assert one["received"]["sys_created_date"] == "3/4/2026 10:15:00"
        coercer = Coercer("five9", CONTACTS)
        (row,) = coercer.table([json.dumps(one).encode()]).to_pylist()
        assert row["created_date"] is None
        assert (coercer.lost["created_date"], coercer.rejects) == (1, [])

    def test_a_field_with_a_format_of_days_alone_has_its_times_in_the_domain_s_zone(self) -> None:
        read_date = date_reader(Field("at", "DATE_TIME", "None", {"DateFormat": "dd/MM/yyyy"}), ZoneInfo("Europe/Rome"))
        assert read_date
        for clock in ("10:15", "10:15:00", "10:15:00.000"):
            assert read_date(f"03/04/2026 {clock}") == "2026-04-03T08:15:00+00:00"
        with pytest.raises(ValueError, match="04/13/2026"):
            read_date("04/13/2026 10:15")

    def test_times_are_of_the_data_centre_s_zone(self) -> None:
        pacific = date_reader(Field("at", "DATE_TIME"), ZoneInfo("America/Los_Angeles"))
        london = date_reader(Field("at", "DATE_TIME"), ZoneInfo("Europe/London"))
        assert pacific
        assert london
        assert pacific("2026-01-15 09:00:00.500") == "2026-01-15T17:00:00.500000+00:00"
        assert pacific("2026-07-15 09:00:00") == "2026-07-15T16:00:00+00:00"
        assert pacific("2026-11-01 01:30:00.000") == "2026-11-01T08:30:00+00:00"
        assert london("2026-07-15 09:00:00.000") == "2026-07-15T08:00:00+00:00"

    @pytest.mark.parametrize(
        ("java", "python"),
        [
            ("yyyy-MM-dd", "%Y-%m-%d"),
            ("MM/dd/yyyy'T'hh:mm a", "%m/%d/%YT%I:%M %p"),
            ("d MMM yy", "%d %b %y"),
            ("H 'o''clock'", "%H o'clock"),
            ("HH:mm:ss.SSS", "%H:%M:%S.%f"),
            ("100% yyyy", "100%% %Y"),
        ],
    )
    def test_formats_are_java_s(self, java: str, python: str) -> None:
        assert strptime_format(java) == python

    @of(contacts=20)
    def test_a_character_that_xml_has_not_costs_no_contact(self, vendor: Five9) -> None:
        vendor.edit(vendor.ids()[0], {"city": "Day\x00ton & <Sons>\x0b"})
        (one,) = [record for record in read().records if record["id"] == vendor.ids()[0]]
        assert one["contact"]["city"] == "Day\ufffdton & <Sons>\ufffd"


class TestSamples:
    @pytest.fixture
    def documented(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Request]]:
        """A server of the documented answers; yields what it was asked."""
        asked: list[Request] = []

        def respond(request: Request) -> Answer:
            asked.append(request)
            operation = next(iter(re.findall(rb"<ns:(\w+)", request.body))).decode()
            empty = f'<a xmlns:n="http://service.admin.ws.five9.com/"><n:{operation}Response/></a>'.encode()
            name = {"getContactFields": "fields", "getContactRecords": "records"}.get(operation)
            if operation == "getContactRecords" and b"<value>%</value>" not in request.body:
                return Answer(200, empty.replace(b"/></a>", b"><return/></n:getContactRecordsResponse></a>"))
            body = (SAMPLES / f"five9_contact_{name}.xml").read_bytes() if name else empty
            return Answer(200, body, content_type="text/xml")

        listener = Listener("127.0.0.1", 0, respond)
        monkeypatch.setenv("FIVE9_USERNAME", "some one@example.test")
        monkeypatch.setenv("FIVE9_PASSWORD", "pass:word")
        monkeypatch.setenv("FIVE9_BASE_URL", listener.url)
        yield asked
        listener.close()

    def test_the_documented_contacts_are_typed(self, documented: list[Request]) -> None:
        ann, bo = sorted(typed(read()), key=lambda row: row["first_name"])
        assert (ann["phone_e164"], ann["last_name"], ann["status"]) == ("+16155550100", "O'Hara", "Working")
        assert ann["created_date"] == datetime(2025, 3, 1, 17, 30, 0, 250_000, tzinfo=UTC)
        assert (bo["number2"], bo["last_name"], bo["created_date"]) == ("6155550102", None, None)
        assert len(ann["id"]) == len(bo["id"]) == 32

    def test_a_request_is_soap_1_1_with_basic_credentials(self, documented: list[Request]) -> None:
        read().finished()
        for request in documented:
            assert (request.method, request.path) == ("POST", "/wsadmin/v13/AdminWebService")
            assert request.query == {"user": ["some one@example.test"]}
            assert request.headers["soapaction"] == '""'
            assert request.headers["content-type"] == "text/xml; charset=utf-8"
            sent = request.headers["authorization"].removeprefix("Basic ")
            assert base64.b64decode(sent) == b"some one@example.test:pass:word"

    def test_the_documented_fault_is_read(self) -> None:
        fault = fault_in((SAMPLES / "five9_fault.xml").read_bytes())
        assert fault is not None
        assert fault.name == "OperationsLimitExceeded"
        assert (fault.details["limit"], fault.details["operationType"]) == ("10", "Query")

    def test_the_documented_records_are_padded(self) -> None:
        shown = contacts_shown((SAMPLES / "five9_contact_records.xml").read_bytes())
        assert {len(row) for row in shown.rows} == {6}
        assert shown.rows[0][1] is None
        assert not shown.more


class TestFaults:
    @of(contacts=20)
    def test_of_a_further_account_its_own_login_is_named(self, vendor: Five9, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("USERNAME", "PASSWORD", "BASE_URL"):
            monkeypatch.setenv(f"FIVE9_WEST_{name}", os.environ[f"FIVE9_{name}"])
        vendor.set_soap_fault("InvalidAccount", times=9, operation="getContactFields")
        with pytest.raises(CredentialRefused, match=r"\(FIVE9_WEST_USERNAME and FIVE9_WEST_PASSWORD\)"):
            Service(ReadContext(account="west")).fields()

    @pytest.mark.parametrize(
        ("fault", "error"),
        [
            ("AccessDisallowed", PermissionMissing),
            ("InvalidAccount", CredentialRefused),
            ("CrmFieldNotFound", RequestRefused),
            ("MissedArgument", RequestRefused),
            ("NeverHeardOf", RequestRefused),
        ],
    )
    @of(contacts=20)
    def test_a_fault_that_a_person_must_act_on_is_not_repeated(
        self, vendor: Five9, fault: str, error: type[WarehouseError]
    ) -> None:
        vendor.set_soap_fault(
            fault, times=99, operation="getContactFields", message="ask ann@example.test 615-555-0100"
        )
        with pytest.raises(error, match=fault) as caught:
            read().finished()
        assert ("(FIVE9_USERNAME and FIVE9_PASSWORD)" in str(caught.value)) == (error is CredentialRefused)
        assert vendor.requests()["routes"]["POST /wsadmin/v13/AdminWebService/getContactFields"] == 1
        assert "ann@" not in str(caught.value)
        assert "0100" not in str(caught.value)

    @pytest.mark.parametrize(
        "fault", ["ServiceUnavailable", "ConcurrentModification", "AdminSessionClosed", "UserAlreadyLoggedIn"]
    )
    @of(contacts=20)
    def test_a_fault_that_passes_is_waited_for(self, vendor: Five9, fault: str) -> None:
        vendor.set_soap_fault(fault, times=2)
        assert len(read().ids) == 20
        vendor.set_soap_fault(fault, times=99)
        with pytest.raises(VendorUnavailable):
            read().finished()

    @of(contacts=20, sessions=True)
    def test_a_closed_session_is_left(self, vendor: Five9) -> None:
        service = Service(ReadContext())
        assert service.fields()
        vendor.close_sessions()
        assert service.fields()

    @of(contacts=20)
    def test_a_server_that_faults_at_everything_is_soon_left_alone(self, vendor: Five9) -> None:
        vendor.set_soap_fault("Server", times=999, operation="getContactRecords")
        with pytest.raises(VendorUnavailable, match="Server"):
            read().finished()
        assert vendor.requests()["total"] < 10

    @of(contacts=1500)
    def test_a_server_that_faults_once_costs_no_contact(self, vendor: Five9) -> None:
        vendor.set_soap_fault("Server", times=1, operation="getContactRecords")
        reading = read()
        assert reading.ids == sorted(vendor.ids())
        assert reading.report.unproven is None

    @of(contacts=20)
    def test_a_wrong_password_is_reported(self, vendor: Five9, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("FIVE9_PASSWORD", "planted-wrong-one")
        with pytest.raises(CredentialRefused) as caught:
            FIVE9.check()
        assert "planted" not in str(caught.value)
        assert vendor.requests()["total"] == 1

    @of(contacts=20)
    def test_a_right_password_is_reported(self, vendor: Five9) -> None:
        assert FIVE9.check() == "Five9 answers: a contact has 29 fields"
        assert vendor.requests()["total"] == 1

    @pytest.mark.parametrize(
        ("kind", "parameters"),
        [
            ("rate_limit", {}),
            ("rate_limit", {"retry_after": 0}),
            ("status", {"status": 503, "body": "html"}),
            ("html", {"status": 502}),
            ("html", {"status": 200}),
            ("reset", {}),
            ("truncated", {"mode": "length"}),
            ("truncated", {"mode": "cut"}),
            ("truncated", {"mode": "chunked"}),
        ],
    )
    @of(contacts=20)
    def test_what_goes_wrong_on_the_way_is_tried_again(
        self, vendor: Five9, kind: str, parameters: dict[str, Any]
    ) -> None:
        vendor.set_fault(kind, every=2, times=4, **parameters)
        assert len(read().ids) == 20


class TestLimits:
    @of(contacts=20)
    def test_the_limits_of_the_domain_become_budgets(self, vendor: Five9) -> None:
        vendor.configure(per_minute=50, per_hour=600, per_day=2000)
        reading = read().finished()
        taken = {(budget.name, budget.requests, budget.seconds) for budget in reading.taken}
        assert taken == {
            ("minute", 1_000_000, 60), ("query 60", 45, 60), ("query 3600", 90, 600), ("query 86400", 1800, 86400),
        }  # fmt: skip
        assert noticed(reading)["query_limits"]["60"] == [0, 50]

    @of(contacts=20)
    def test_a_spent_budget_ends_the_read(self, vendor: Five9) -> None:
        def take(credential: str, budget: Any, longest_wait: float | None) -> None:
            if budget.name == "query 86400":
                raise BudgetSpent("the day is spent")

        reading = read()
        reading.context.acquire = take
        with pytest.raises(BudgetSpent):
            reading.finished()

    @pytest.mark.parametrize(("window", "seconds"), [("per_minute", 60), ("per_hour", 3600), ("per_day", 86400)])
    @of(contacts=20)
    def test_the_window_that_is_used_up_is_waited_for(
        self, vendor: Five9, window: str, seconds: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("WAREHOUSE_RETRY_SECONDS", "1")
        reading = read()
        vendor.spend(10)
        vendor.configure(**{window: 10})
        waits: list[float] = []

        def wait(given: float | None = None) -> bool:
            waits.append(given or 0)
            vendor.configure(**{window: 100_000})
            return False

        monkeypatch.setattr(reading.context.cancelled, "wait", wait)
        if seconds == 60:
            assert len(reading.ids) == 20
            assert 60 <= waits[0] < 61
        else:
            with pytest.raises(VendorUnavailable, match=f"{seconds} s"):
                reading.finished()

    def test_counters_are_read_with_the_window_that_follows_them(self) -> None:
        said = b"<r><return><callCounterStates><limit>5</limit><operationType>Query</operationType><value>2</value>\
</callCounterStates><timeout>60</timeout></return><return><timeout>3600</timeout></return></r>"
        assert [tuple(one) for one in call_counters(said)] == [("Query", 60, 5, 2)]

    @of(contacts=20)
    def test_a_refusal_without_a_fault_is_waited_for_a_minute(
        self, vendor: Five9, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("WAREHOUSE_RETRY_SECONDS", "1")
        service = Service(read().context)
        assert service._wait_for(httpx.Response(429), 1) == 60
        assert service._wait_for(httpx.Response(503), 1) is None


class TestSync:
    @pytest.fixture
    def harness(self, database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[SourceHarness]:
        with source_harness("five9_contact", database_url, monkeypatch) as one:
            yield one

    def test_undeclared_fields_keep_the_names_of_the_domain(self, harness: SourceHarness) -> None:
        harness.sync()
        for (key,), row in harness.rows().items():
            truth = harness.simulator.record(key)
            custom = row["custom_properties"]
            assert custom["Lead Status"] == truth["Lead Status"]
            assert "first_name" not in custom
            assert {**row["raw_data"]["contact"], **row["raw_data"]["received"]} == truth

    def test_a_read_that_is_not_proven_buries_nothing(self, harness: SourceHarness) -> None:
        harness.sync()
        deleted, created = harness.driver.delete(harness.entity), harness.driver.create(harness.entity)
        harness.simulator.configure(empty_value="nothing")
        result = harness.sync()
        assert (result.status, result.deleted, result.failed) == ("partial", 0, 0)
        assert "without a number1" in str(result.reason)
        assert created in harness.living()
        assert deleted in harness.living()
        harness.simulator.configure(empty_value="matches")
        assert (harness.sync().status, harness.living()) == ("success", harness.driver.keys(harness.entity))

    def test_the_history_row_has_the_evidence(self, harness: SourceHarness) -> None:
        harness.sync()
        found = harness.history()[-1]["performance_metrics"]["noticed"]
        assert (found["largest_list"], found["listed_again"], found["fields"]) == (60, 0, 29)
        assert found["query_limits"].keys() == {"60", "3600", "86400"}

    def test_the_split_is_kept_with_the_run(self, harness: SourceHarness) -> None:
        harness.sync()
        kept = harness.history()[-1]["configuration"]["state"]
        assert kept["crowded"] == "[]"
        harness.sync()
        assert harness.history()[-1]["configuration"]["state"] == kept
        harness.sync(full=True)
        assert harness.history()[-1]["configuration"]["state"]["proven_at"] > kept["proven_at"]

    def test_a_row_is_written_again_only_when_its_contact_changed(self, harness: SourceHarness) -> None:
        harness.sync()
        before = harness.rows()
        harness.simulator.edit(harness.simulator.ids()[3], {"Market": "Toledo"})
        result = harness.sync()
        assert (result.updated, result.unchanged) == (1, 59)
        changed = [key for key, row in harness.rows().items() if row != before[key]]
        assert changed == [(harness.simulator.ids()[3],)]
        assert harness.rows()[changed[0]]["division"] == "Toledo"

    def test_a_contact_without_a_number_is_loaded(self, harness: SourceHarness) -> None:
        harness.sync()
        assert sum(row["phone"] is None for row in harness.rows().values()) == 1


def test_contacts_are_read_once_a_day() -> None:
    """The quota is the domain's, and every run reads everything."""
    assert CONTACTS.cadence.every.total_seconds() == 86_400
    assert CONTACTS.cursor is None

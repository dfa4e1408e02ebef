"""What is odd about MarketSharp, read over HTTP from its simulator or from a documented answer."""

import base64
import hashlib
import hmac
import json
import re
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import httpx
import msgspec
import pytest

from warehouse_pipelines.errors import (
    AnswerChanged,
    CredentialRefused,
    CursorStuck,
    NotConfigured,
    RequestRefused,
    VendorUnavailable,
    WarehouseError,
)
from warehouse_pipelines.loading.coerce import Coercer
from warehouse_pipelines.loading.options import Purpose
from warehouse_pipelines.model.entity import Entity
from warehouse_pipelines.model.reading import ReadContext, ReadRequest, Window
from warehouse_pipelines.simulators.core.population import words
from warehouse_pipelines.simulators.core.wire import Answer, Listener, Request
from warehouse_pipelines.simulators.marketsharp.simulator import MarketSharp
from warehouse_pipelines.sources.marketsharp import MARKETSHARP
from warehouse_pipelines.sources.marketsharp.atom import Feed, feed
from warehouse_pipelines.sources.marketsharp.client import MarketSharpClient
from warehouse_pipelines.sources.marketsharp.entities import camel_case
from warehouse_pipelines.sources.marketsharp.reader import MarketSharpReader
from warehouse_pipelines.sources.marketsharp.settings import Settings
from warehouse_pipelines_tests.harness.fetching import SAMPLES, Read
from warehouse_pipelines_tests.harness.source_harness import serve_vendor, source_harness

SETS: dict[str, Entity] = {entity.name: entity for entity in MARKETSHARP.entities}
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


@pytest.fixture
def vendor(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[MarketSharp]:
    """A company of 120 contacts; ``@of(...)`` gives settings."""
    settings = {"contacts": 120, **getattr(request, "param", {})}
    with serve_vendor("marketsharp", monkeypatch, settings, contacts=settings["contacts"]) as simulators:
        yield simulators.of(MarketSharp)


def of(**settings: Any) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("vendor", [settings], indirect=True, ids=str)


def read(name: str, since: datetime | None = None, **how: Any) -> Read:
    return Read(MARKETSHARP, SETS[name], since, **how)


def asked(vendor: MarketSharp, option: str) -> list[str]:
    return [entry["query"][f"${option}"][0] for entry in vendor.requests()["log"] if f"${option}" in entry["query"]]


def typed(name: str, records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    coercer = Coercer("marketsharp", SETS[name])
    table = coercer.table([json.dumps(record).encode() for record in records])
    assert coercer.rejects == []
    found: list[dict[str, Any]] = table.to_pylist()
    return found


class TestDocumented:
    def test_a_contact_is_read_as_recorded(self) -> None:
        found = feed((SAMPLES / "marketsharp_customers.xml").read_bytes())
        (entry,) = found.entries
        assert (entry.key, found.following) == ("'0f9c2a4e-1b7d-4c52-9a3e-5d1f60b7c811'", None)
        record = dict(entry.properties or {})
        assert [record[name] for name in ("businessName", "email2", "qbSyncDate")] == ["", None, None]
        (row,) = typed("customer", [record])
        assert (row["company_id"], row["last_name"], row["email1"], row["email2"]) == (
            1234, "O'Hara", "ann@example.test", None
        )  # fmt: skip
        assert (row["is_active"], row["has_dnc_phone"], row["has_dne_email"]) == (True, True, None)
        assert row["last_update"] == datetime(2025, 1, 31, 13, 15, 22, 407000, UTC)
        assert row["created_date"] == datetime(2016, 8, 1, 16, 0, 0, 123000, UTC)
        assert row["creation_date"] == datetime(2016, 8, 1, 13, 0, 0, 123000, UTC)
        assert row["qb_sync_date"] is None

    def test_texts_are_kept_as_they_came(self, vendor: MarketSharp) -> None:
        record = next(one for one in read("inquiry").records if one["jobSiteDirections"])
        assert record["jobSiteDirections"] == "Left at the mill,\r\nthen <straight> on."
        assert (record["isActive"], record["promoterId"]) == ("true", "")
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?-0[45]:00", record["lastUpdate"])
        assert "zoned" not in record

    @of(offsets=False)
    def test_a_time_without_an_offset_is_that_of_the_zone(self, vendor: MarketSharp) -> None:
        key = vendor.ids("Inquiries")[0]
        vendor.edit("Inquiries", key, {"inquiryDate": "2025-07-01T12:00:00", "setDate": "2025-12-01T12:00:00.5"})
        record = next(one for one in read("inquiry").records if one["id"] == key)
        assert record["inquiryDate"] == "2025-07-01T12:00:00"
        (row,) = typed("inquiry", [record])
        assert row["inquiry_date"] == datetime(2025, 7, 1, 16, tzinfo=UTC)
        assert row["set_date"] == datetime(2025, 12, 1, 17, 0, 0, 500000, UTC)
        status = read("inquiry_status").records[0]
        assert typed("inquiry_status", [status])[0]["created_date_utc"] == datetime.fromisoformat(
            f"{status['createdDateUtc']}+00:00"
        )

    @of(offsets=False, time_zone="America/Denver")
    def test_the_zone_is_a_setting(self, vendor: MarketSharp, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("MARKETSHARP_TIME_ZONE", "America/Denver")
        key = vendor.create("Inquiries")
        record = next(one for one in read("inquiry", datetime.now(UTC) - timedelta(hours=1)).records)
        assert record["id"] == key
        now = typed("inquiry", [record])[0]["last_update"]
        assert abs(now - datetime.now(UTC)) < timedelta(minutes=1)

    def test_misspelt_names_are_understood(self) -> None:
        text = (SAMPLES / "marketsharp_customers.xml").read_text()
        other = text.replace("hasDNCPhone", "hasDncPhone").replace("d:id>", "d:ID>").replace("lastUpdate", "LastUpdate")
        (entry,) = feed(other.encode()).entries
        service: Any = Shown([])
        walk = MarketSharpReader(service, replace(EMPLOYEES, entity=SETS["customer"]))
        walk._named(Feed([entry], None))
        (row,) = typed("customer", [dict(entry.properties or {})])
        assert (row["has_dnc_phone"], row["id"]) == (True, "0f9c2a4e-1b7d-4c52-9a3e-5d1f60b7c811")
        assert row["last_update"]
        for spelt in ("coounty", "county"):
            assert typed("address", [{"id": "a", spelt: "Greene"}])[0]["county"] == "Greene"

    def test_a_character_that_xml_has_not_costs_nothing_but_itself(self, vendor: MarketSharp) -> None:
        key = vendor.ids("Contacts")[3]
        vendor.edit("Contacts", key, {"lastName": "O\x1fHara\x00"})
        record = next(one for one in read("contact").records if one["id"] == key)
        assert record["lastName"] == "O\ufffdHara\ufffd"

    def test_column_names_become_those_of_the_vendor(self) -> None:
        assert camel_case("job_site_address_line1") == "jobSiteAddressLine1"
        assert SETS["contact"].columns["email1_can_mail"].path == "email1CanMail"
        assert SETS["contact"].columns["last_update"].paths == ("zoned.lastUpdate", "lastUpdate")


class TestSignature:
    def test_every_request_is_signed(self, vendor: MarketSharp) -> None:
        settings = Settings()
        company, key, stamp, given = settings.signature()["Authorization"].split(":")
        secret = base64.b64decode(settings.secret_key.get_secret_value())
        right = hmac.digest(secret, f"{company}{key}{stamp}".encode(), hashlib.sha256)
        assert given == base64.b64encode(right).decode()
        assert len(read("contact", page_size=10).records) == 120
        assert vendor.requests()["statuses"] == {"200": vendor.requests()["total"]}

    def test_a_refusal_is_answered_once_by_a_fresh_one(self, vendor: MarketSharp) -> None:
        vendor.set_fault("unauthorized", times=1)
        assert len(read("contact").records) == 120
        vendor.clear_faults()
        vendor.reset_counters()
        vendor.set_fault("unauthorized")
        with pytest.raises(CredentialRefused, match="clock") as refused:
            read("contact").finished()
        assert vendor.requests()["total"] == 2
        for secret in (vendor.secret, vendor.settings.api_key):
            assert secret not in str(refused.value)

    def test_a_secret_that_is_no_base64_is_named(self, vendor: MarketSharp, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("MARKETSHARP_SECRET_KEY", "not base64!")
        with pytest.raises(NotConfigured, match="MARKETSHARP_SECRET_KEY") as refused:
            MARKETSHARP.check()
        assert "not base64!" not in str(refused.value)
        assert vendor.requests()["total"] == 0

    def test_nothing_of_it_is_shown(self, vendor: MarketSharp) -> None:
        assert vendor.secret not in repr(Settings())
        assert vendor.settings.api_key not in repr(Settings())

    def test_check_says_that_it_works(self, vendor: MarketSharp) -> None:
        assert MARKETSHARP.check() == "MarketSharp answers: the key reads a company"
        assert vendor.requests()["total"] == 1


class TestPaging:
    @pytest.mark.parametrize("name", ["contact", "contact_phone", "inquiry_status"])
    @pytest.mark.parametrize("page_size", [1, 2, 7, 1000])
    def test_a_whole_read_walks_the_key(self, vendor: MarketSharp, name: str, page_size: int) -> None:
        entity = SETS[name]
        found = [record[entity.columns[entity.key].path] for record in read(name, page_size=page_size).records]
        assert found == vendor.ids(entity.path)
        assert asked(vendor, "skip") == []
        assert set(asked(vendor, "orderby")) == {entity.columns[entity.key].path}

    @pytest.mark.parametrize("page_size", [2, 7, 1000])
    def test_a_delta_walks_time_and_key_and_ties_are_no_gap(self, vendor: MarketSharp, page_size: int) -> None:
        same = vendor.ids("Inquiries")[20:60]
        vendor.touch("Inquiries", same)
        assert read("inquiry", LONG_AGO, page_size=page_size).ids == vendor.ids("Inquiries")
        recent = datetime.now(UTC) - timedelta(minutes=5)
        assert read("inquiry", recent, page_size=page_size).ids == sorted(same)
        assert asked(vendor, "skip") == []
        assert set(asked(vendor, "orderby")) == {"lastUpdate,id"}

    def test_the_begin_is_inclusive(self, vendor: MarketSharp) -> None:
        key = vendor.recent("Inquiries")
        at = typed("inquiry", [one for one in read("inquiry").records if one["id"] == key])[0]["last_update"]
        assert key in read("inquiry", at).ids
        assert key not in read("inquiry", at + timedelta(milliseconds=1)).ids

    @of(most_per_page=7)
    def test_a_page_that_was_cut_goes_on_where_the_service_says(self, vendor: MarketSharp) -> None:
        assert read("contact").ids == vendor.ids("Contacts")
        assert read("inquiry", LONG_AGO).ids == vendor.ids("Inquiries")
        assert asked(vendor, "skiptoken")

    @of(most_per_page=7, links=False)
    def test_a_page_that_was_cut_without_a_word_is_not_the_end(self, vendor: MarketSharp) -> None:
        assert read("contact").ids == vendor.ids("Contacts")
        assert read("inquiry", LONG_AGO).ids == vendor.ids("Inquiries")

    def test_a_next_page_elsewhere_is_not_asked_for(self, vendor: MarketSharp) -> None:
        came: list[Request] = []

        def answer(request: Request) -> Answer:
            came.append(request)
            return Answer(500)

        elsewhere = Listener("127.0.0.1", 0, answer)
        vendor.configure(most_per_page=7, link_base=elsewhere.url)
        try:
            with pytest.raises(AnswerChanged, match="elsewhere"):
                read("contact").finished()
        finally:
            elsewhere.close()
        assert came == []

    def test_records_that_are_edited_while_they_are_read_are_not_lost(self, vendor: MarketSharp) -> None:
        before = vendor.ids("Inquiries")
        reading = read("inquiry", LONG_AGO, page_size=10)
        seen = [json.loads(record) for record in reading.step().records]
        # The place itself, what was read, what was not, and one that goes.
        for key in (seen[-1]["id"], seen[0]["id"], vendor.recent("Inquiries")):
            vendor.edit("Inquiries", key, {"note": "edited"})
        removed = next(key for key in before if key not in {one["id"] for one in seen})
        vendor.delete("Inquiries", removed)
        records = reading.records
        assert {one["id"] for one in records} >= set(before) - {removed}
        assert [one["note"] for one in records if one["id"] == seen[-1]["id"]] == [seen[-1]["note"], "edited"]

    def test_a_place_that_is_gone_is_no_end(self, vendor: MarketSharp) -> None:
        for since in (None, LONG_AGO):
            before = vendor.ids("Inquiries")
            reading = read("inquiry", since, page_size=10)
            last = json.loads(reading.step().records[-1])["id"]
            vendor.delete("Inquiries", last)
            assert reading.ids == before
            vendor.restore("Inquiries", last)

    @pytest.mark.parametrize("zone", ["America/Los_Angeles", "UTC"])
    def test_literals_that_are_read_in_another_zone_are_noticed(
        self, vendor: MarketSharp, zone: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        keys, now = vendor.ids("Inquiries"), vendor.now_ms()
        for minutes, key in enumerate(keys):
            vendor.edit("Inquiries", key, {}, at=now - 60_000 * minutes)
        recent = datetime.now(UTC) - timedelta(hours=12)
        assert read("inquiry", recent, page_size=10).ids == keys
        vendor.configure(literal_zone=zone)
        for page_size in (10, 1000):
            with pytest.raises((AnswerChanged, CursorStuck), match=r"FILTER_TIME_ZONE|twice"):
                read("inquiry", recent, page_size=page_size).finished()
        assert read("inquiry", page_size=10).ids == keys
        monkeypatch.setenv("MARKETSHARP_FILTER_TIME_ZONE", zone)
        assert read("inquiry", recent, page_size=10).ids == keys

    @of(ordered_by="guid")
    def test_keys_that_are_ordered_otherwise_than_compared_are_noticed(self, vendor: MarketSharp) -> None:
        with pytest.raises(AnswerChanged, match="compare keys"):
            read("contact", page_size=10).finished()

    def test_a_backfill_ends(self, vendor: MarketSharp) -> None:
        since, until = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 31, tzinfo=UTC)
        found = read("inquiry", since, until=until, page_size=3, backfill=True).records
        ends = [datetime.fromisoformat(one["lastUpdate"]) for one in found]
        everything = [datetime.fromisoformat(one["lastUpdate"]) for one in read("inquiry").records]
        assert len(ends) >= sum(since <= at < until for at in everything) > 0
        assert max(ends) < until + timedelta(hours=12)

    def test_records_from_which_nothing_can_go_on_are_told(self, vendor: MarketSharp) -> None:
        vendor.set_fault("malformed", what="bad_date", property="lastUpdate", records=1000)
        reading = read("inquiry", LONG_AGO).finished()
        assert "nothing can go on" in str(reading.report.unproven)


class TestTrouble:
    @pytest.mark.parametrize("kind", ["repeat_page", "endless"])
    def test_a_list_without_end_is_stopped(self, vendor: MarketSharp, kind: str) -> None:
        vendor.set_fault(kind, after=1)
        with pytest.raises(CursorStuck):
            read("contact", page_size=20).finished()
        assert vendor.requests()["total"] < 10

    def test_an_empty_page_with_a_link_is_no_trouble(self, vendor: MarketSharp) -> None:
        vendor.set_fault("null_last_page")
        assert read("contact", page_size=50).ids == vendor.ids("Contacts")

    @pytest.mark.parametrize(
        ("kind", "error"),
        [
            ({"kind": "missing_list"}, AnswerChanged),
            ({"kind": "html", "status": 200}, AnswerChanged),
            ({"kind": "malformed", "what": "non_object"}, AnswerChanged),
            ({"kind": "status", "status": 503}, VendorUnavailable),
            ({"kind": "status", "status": 400}, RequestRefused),
        ],
        ids=str,
    )
    def test_what_stays_wrong_is_an_error(
        self, vendor: MarketSharp, kind: dict[str, Any], error: type[WarehouseError]
    ) -> None:
        vendor.set_fault(**kind)
        with pytest.raises(error):
            read("contact").finished()

    @pytest.mark.parametrize(
        "kind",
        [
            {"kind": "status", "status": 503, "times": 3},
            {"kind": "status", "status": 404, "times": 2},
            {"kind": "status", "status": 400, "times": 1},
            {"kind": "rate_limit", "times": 2},
            {"kind": "rate_limit", "times": 2, "retry_after": 0},
            {"kind": "rate_limit", "times": 1, "retry_after": "date", "seconds": 0},
            {"kind": "reset", "times": 2},
            {"kind": "truncated", "times": 1, "mode": "length"},
            {"kind": "truncated", "times": 1, "mode": "cut"},
            {"kind": "truncated", "times": 1, "mode": "chunked"},
            {"kind": "slow", "times": 1, "seconds": 0.2},
            {"kind": "html", "status": 502, "times": 1},
        ],
        ids=str,
    )
    def test_what_passes_costs_an_attempt(self, vendor: MarketSharp, kind: dict[str, Any]) -> None:
        vendor.set_fault(**kind, after=1)
        assert read("contact", page_size=50).ids == vendor.ids("Contacts")

    def test_a_service_that_is_loaded_is_given_ten_seconds(
        self, vendor: MarketSharp, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("WAREHOUSE_RETRY_SECONDS", "1")
        service = MarketSharpClient(ReadContext())
        waits = [service._http._wait_for(httpx.Response(status), 1) for status in (503, 500, 429)]
        assert waits == [10, None, None]

    def test_an_answer_that_breaks_off_with_an_error_is_asked_for_again(self) -> None:
        head = (SAMPLES / "marketsharp_customers.xml").read_text().partition("<entry>")[0]
        with pytest.raises(msgspec.DecodeError, match="breaks off"):
            feed(f'{head}<m:error xmlns:m="x"><m:code/></m:error></feed>'.encode())


class TestData:
    def flat(self, **how: Any) -> dict[str, dict[str, Any]]:
        return {row["id"]: row for row in typed("data", read("data", **how).records)}

    def test_an_inquiry_comes_with_what_it_refers_to(self, vendor: MarketSharp) -> None:
        rows = self.flat(page_size=9)
        assert sorted(rows) == vendor.ids("Inquiries")
        statuses = {int(key): vendor.record("InquiryStatuses", key)["name"] for key in vendor.ids("InquiryStatuses")}
        sites = homes = 0
        for key, row in rows.items():
            inquiry = vendor.record("Inquiries", key)
            contact = vendor.record("Contacts", inquiry["contactId"])
            phones = vendor.record("ContactPhones", inquiry["contactId"])
            assert row["lead_id"] == inquiry["contactId"]
            assert row["customer_name"] == f"{contact['firstName']} {contact['lastName']}".strip()
            assert row["email"] == (contact["email1"].lower() or None)
            assert row["status"] == statuses.get(inquiry["inquiryStatusId"])
            number = phones.get("homePhone") or phones.get("cellPhone") or phones["workPhone"]
            assert row["phone"] == number.strip()
            number = vendor.office.store("Contacts").find(contact["id"])
            assert number is not None
            assert row["phone_e164"] == vendor.population.person(number).phone
            if contact["primaryAddressId"]:
                home = vendor.record("Addresses", contact["primaryAddressId"])
                assert row["address"] == f"{home['line1']} {home['line2']}".strip()
                assert (row["city"], row["zip"], row["state"]) == (home["city"], home["zip"], "OH")
                homes += 1
            else:
                assert row["address"] == inquiry.get("jobSiteAddressLine1")
                assert row["city"] == inquiry.get("jobSiteCity")
                sites += row["address"] is not None
        assert homes
        assert sites

    @of(expanded_lists=False)
    def test_an_address_may_come_as_one(self, vendor: MarketSharp) -> None:
        assert sum(row["address"] is not None for row in self.flat().values()) > 80

    def test_a_business_has_its_own_name_and_an_inquiry_may_have_no_contact(self, vendor: MarketSharp) -> None:
        shop, lost = vendor.ids("Inquiries")[:2]
        contact = vendor.record("Inquiries", shop)["contactId"]
        vendor.edit("Contacts", contact, {"firstName": "", "lastName": "", "businessName": "Marsh & Sons"})
        vendor.edit("Inquiries", lost, {"contactId": None, "inquiryStatusId": None})
        rows = self.flat()
        assert rows[shop]["customer_name"] == "Marsh & Sons"
        assert [rows[lost][name] for name in ("lead_id", "customer_name", "phone", "status")] == [None] * 4

    def test_a_contact_that_was_edited_brings_its_inquiries(self, vendor: MarketSharp) -> None:
        key = vendor.ids("Inquiries")[7]
        vendor.edit("Contacts", vendor.record("Inquiries", key)["contactId"], {"email1": "new@example.test"})
        reading = read("data", datetime.now(UTC) - timedelta(minutes=5))
        assert [one["id"] for one in reading.beside_the_window] == reading.ids == [key]
        assert reading.records[0]["Contact"]["email1"] == "new@example.test"

    @pytest.mark.slow("rarer behaviour of a vendor")
    def test_an_edited_phone_arrives_with_the_next_read_of_everything(
        self, database_url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with source_harness("marketsharp_data", database_url, monkeypatch) as it:
            it.sync()
            key = it.simulator.ids("Inquiries")[0]
            contact = it.simulator.record("Inquiries", key)["contactId"]
            it.simulator.edit("ContactPhones", contact, {"homePhone": "937-229-0001"})
            assert it.sync().mode == "delta"
            assert it.rows()[(key,)]["phone"] != "937-229-0001"
            it.execute("UPDATE orchestration.sync_history SET start_time = start_time - interval '25 hours'")
            result = it.sync()
            assert (result.mode, result.updated) == ("full", 1)
            assert it.rows()[(key,)]["phone_e164"] == "+19372290001"

    @pytest.mark.parametrize(
        ("lacking", "told", "null"),
        [
            ({"absent": "InquiryStatuses"}, ["InquiryStatuses"], ["status"]),
            (
                {"absent": "ContactPhone"},
                ["Inquiries?$expand=Contact/ContactPhone", "expanded ContactPhone"],
                ["phone"],
            ),
            ({"absent": "Address"}, ["Inquiries?$expand=Contact/Address", "expanded Address"], []),
            ({"expands": "ignored"}, ["expanded Contact"], ["customer_name", "email", "phone"]),
            (
                {"expands": "refused"},
                ["Inquiries?$expand=Contact/Address", "Inquiries?$expand=Contact/ContactPhone", "expanded Contact"],
                ["customer_name", "email", "phone"],
            ),
        ],
        ids=str,
    )
    def test_what_the_account_has_not_costs_its_columns_and_no_record(
        self, vendor: MarketSharp, lacking: dict[str, str], told: list[str], null: list[str]
    ) -> None:
        """An address has a second place, the job site of the inquiry itself."""
        vendor.configure(**lacking)
        reading = read("data")
        assert reading.ids == vendor.ids("Inquiries")
        assert reading.context.noted["absent"] == told
        rows = typed("data", reading.records)
        columns = ("lead_id", "customer_name", "email", "phone", "city", "status")
        assert [name for name in columns if not any(row[name] for row in rows)] == null

    @pytest.mark.parametrize(
        ("lacking", "kept"),
        [
            ({"absent": "ContactPhone"}, ["phone"]),
            ({"absent": "InquiryStatuses"}, ["status"]),
            ({"expands": "ignored"}, ["address", "city", "customer_name", "email", "phone", "state", "zip"]),
        ],
        ids=str,
    )
    @pytest.mark.slow("rarer behaviour of a vendor")
    def test_what_the_account_has_no_more_keeps_its_values_and_is_an_alarm(
        self, database_url: str, monkeypatch: pytest.MonkeyPatch, lacking: dict[str, str], kept: list[str]
    ) -> None:
        """Also in a delta of one record, and the alarm is raised once."""
        with source_harness("marketsharp_data", database_url, monkeypatch) as it:
            it.sync()
            before = it.rows()
            key = next(key for (key,), row in before.items() if row["phone"] and row["status"])
            it.simulator.configure(**lacking)
            it.simulator.edit("Inquiries", key, {"isActive": "false"})
            result = it.sync()
            assert (result.status, result.mode) == ("partial", "delta")
            assert sorted(result.metrics["columns_absent"]) == kept
            after = it.rows()[key,]
            assert after["archived"]
            assert {name: after[name] for name in kept} == {name: before[key,][name] for name in kept}
            it.simulator.edit("Inquiries", key, {"isActive": "true"})
            assert it.sync().status == "success"

    def test_a_filter_by_the_contact_that_is_refused_costs_no_inquiry(self, vendor: MarketSharp) -> None:
        key = vendor.ids("Inquiries")[7]
        vendor.edit("Inquiries", key, {"division": "North"})
        vendor.configure(absent="Contact/")
        reading = read("data", datetime.now(UTC) - timedelta(minutes=5))
        assert reading.ids == [key]
        assert reading.context.noted["absent"] == ["filter by Contact/lastUpdate"]

    def test_a_list_that_is_not_all_there_is_an_error(self) -> None:
        text = (SAMPLES / "marketsharp_customers.xml").read_text()

        def with_addresses(inside: str) -> bytes:
            inline = f"<m:inline><feed><id>x</id>{inside}</feed></m:inline></link>"
            whole = re.sub(r"(rel=\"[^\"]*related/Address\"[^>]*) />", rf"\1>{inline}", text)
            assert inline in whole
            return whole.encode()

        (entry,) = feed(with_addresses("")).entries
        assert (entry.key, entry.linked) == ("'0f9c2a4e-1b7d-4c52-9a3e-5d1f60b7c811'", {"Address": []})
        with pytest.raises(msgspec.ValidationError, match="not all there"):
            feed(with_addresses('<link rel="next" href="x"/>'))


class TestTables:
    def test_a_lead_that_becomes_a_prospect_leaves_the_leads(
        self, database_url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with source_harness("marketsharp_lead", database_url, monkeypatch) as it:
            it.sync()
            key = it.simulator.ids("Leads")[0]
            it.simulator.become(key, "Prospect")
            assert it.sync().deleted == 0
            result = it.sync(full=True)
            assert (result.deleted, it.rows()[(key,)]["delete_reason"]) == (1, "missing")

    def test_a_backfill_of_a_day_loads_that_day(self, database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
        with source_harness("marketsharp_inquiry", database_url, monkeypatch) as it:
            it.sync()
            days = [row["last_update"] for row in it.rows().values()]
            day = min(days).date()
            it.execute("DELETE FROM marketsharp_inquiry")
            begin = datetime.combine(day, datetime.min.time(), UTC)
            it.sync(purpose=Purpose.backfill(Window(begin, begin + timedelta(days=1))))
            assert len(it.rows()) == sum(at.date() == day for at in days) > 0

    def test_every_table_of_the_catalogue_is_there(self) -> None:
        names = words("""
            activity activity_reference activity_result address appointment appointment_result company contact
            contact_phone contact_type custom_field customer data employee inquiry inquiry_source_primary
            inquiry_source_secondary inquiry_status job lead product_detail product_interest product_type prospect
        """)
        assert tuple(sorted(SETS)) == names
        assert all(entity.table == f"marketsharp_{name}" for name, entity in SETS.items())
        assert [len(SETS[name].columns) for name in ("contact", "lead", "prospect", "customer")] == [42] * 4
        timed = {name for name, entity in SETS.items() if entity.cursor}
        assert timed == {
            "data", "contact", "lead", "prospect", "customer", "inquiry", "appointment", "activity", "activity_result",
            "job", "employee",
        }  # fmt: skip
        assert SETS["data"].cadence.backfill_since == date(2024, 1, 1)


EMPLOYEES = ReadRequest(entity=SETS["employee"], window=Window(None, datetime.now(UTC)), page_size=500)


class Shown:
    """A service without a network, whose set has so many records."""

    def __init__(self, keys: Any) -> None:
        self.keys = keys
        self.context = ReadContext()

    def ask(self, name: str, **options: str | None) -> Feed:
        found = re.search(r"id ge '(\w+)'", options["filter"] or "")
        first = int(found[1], 16) if found else 0
        entries = "".join(
            f"<entry><id>x/Employees('{n:08x}')</id><content><m:properties><d:id>{n:08x}</d:id><d:name>{'x' * 2000}"
            "</d:name></m:properties></content></entry>"
            for n in range(first, min(first + 500, self.keys))
        )
        return feed(f'<feed xmlns="a" xmlns:d="d" xmlns:m="m">{entries}</feed>'.encode())


def test_a_service_that_does_not_heed_the_filter_is_noticed() -> None:
    class Deaf(Shown):
        def ask(self, name: str, **options: str | None) -> Feed:
            return super().ask(name, filter=None)

    service: Any = Deaf(500)
    with pytest.raises(CursorStuck, match="same page twice"):
        list(MarketSharpReader(service, EMPLOYEES).pages())


@pytest.mark.slow("many records")
def test_memory_does_not_grow_with_the_set() -> None:
    peaks = []
    for count in (2_000, 8_000):
        service: Any = Shown(count)
        tracemalloc.start()
        assert sum(len(page) for page in MarketSharpReader(service, EMPLOYEES).pages()) == count
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] <= 1.1 * peaks[0], peaks

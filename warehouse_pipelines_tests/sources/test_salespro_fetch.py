"""What is odd about SalesPro, read through Athena's simulator or from a documented answer."""

import json
import logging
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from warehouse_pipelines.errors import (
    AnswerChanged,
    CredentialRefused,
    NotConfigured,
    PermissionMissing,
    RequestRefused,
    VendorUnavailable,
)
from warehouse_pipelines.loading.coerce import Coercer
from warehouse_pipelines.model.entity import Entity
from warehouse_pipelines.simulators.core.wire import Answer, Listener, Request, answer_json
from warehouse_pipelines.simulators.salespro.simulator import SalesPro
from warehouse_pipelines.simulators.salespro.trino_query import QueryFailed
from warehouse_pipelines.sources.salespro import SALESPRO, athena, athena_result
from warehouse_pipelines.sources.salespro.aws import Account
from warehouse_pipelines.sources.salespro.settings import Settings
from warehouse_pipelines_tests.harness.fetching import SAMPLES, Held, Read, sample
from warehouse_pipelines_tests.harness.source_harness import SourceHarness, replayed, serve_vendor, source_harness

ENTITIES = {entity.name: entity for entity in SALESPRO.entities}
CUSTOMERS, ESTIMATES, RESULTS = (ENTITIES[name] for name in ("customers", "estimates", "lead_results"))
OFFICES = ENTITIES["offices"]
BUCKET = "/simulated-athena-results/"
LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)


@pytest.fixture
def vendor(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[SalesPro]:
    """150 estimates; ``@of(...)`` gives settings."""
    settings = {"contacts": 300, **getattr(request, "param", {})}
    with serve_vendor("salespro", monkeypatch, settings, contacts=settings["contacts"]) as simulators:
        yield simulators.of(SalesPro)


def of(**settings: Any) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("vendor", [settings], indirect=True, ids=str)


def read(entity: Entity, since: datetime | None = None, until: datetime | None = None, **how: Any) -> Read:
    return Read(SALESPRO, entity, since, until, **how)


def keys(reading: Read, entity: Entity) -> list[str]:
    path = entity.columns[entity.keys[0]].path
    return sorted(record[path] for record in reading.records)


def queries(vendor: SalesPro) -> list[str]:
    return [execution["query"] for execution in vendor.executions()]


def started(vendor: SalesPro) -> list[dict[str, Any]]:
    return [entry["body"] for entry in vendor.requests()["log"] if entry["path"] == "/StartQueryExecution"]


def days_ago(days: float) -> str:
    return (datetime.now(UTC) - timedelta(days)).strftime("%Y-%m-%d %H:%M:%S.000")


def answer(vendor: SalesPro, estimate: str, days: float, answers: dict[str, str]) -> None:
    vendor.insert("lead_results", estimate_id=estimate, created_at=days_ago(days), lead_results=json.dumps(answers))


def operations(vendor: SalesPro) -> list[str]:
    return [entry["path"] for entry in vendor.requests()["log"]]


class TestTheResult:
    @pytest.mark.parametrize("name", [name for name in ENTITIES if name != "lead_result_line_items"])
    def test_everything_is_read(self, vendor: SalesPro, name: str) -> None:
        reading = read(ENTITIES[name])
        assert keys(reading, ENTITIES[name]) == sorted(vendor.ids(ENTITIES[name].path))
        assert reading.calls == 4 + (name == "lead_results")  # the catalogue, start, poll, the result; two catalogues
        assert reading.context.measured["athena_bytes_scanned"] > 0

    @pytest.mark.parametrize("name", ENTITIES)
    def test_a_row_that_is_declared_otherwise_is_read_alike(self, vendor: SalesPro, name: str) -> None:
        """A row is known by its path: tests and users replace rows."""
        since = datetime.now(UTC) - timedelta(days=100) if ENTITIES[name].cursor else None
        assert read(replace(ENTITIES[name], about="."), since).records == read(ENTITIES[name], since).records
        assert len(set(queries(vendor))) == 1

    def test_null_the_empty_text_and_every_character_survive(self, vendor: SalesPro) -> None:
        texts = [
            None,
            "",
            '"',
            '""',
            ",",
            "a,b",
            "a\nb",
            "\r\n",
            "\\",
            '\\"',
            "☂ ñ",
            " x ",
            "NULL",
            "null",
            "\ttab",
            "'",
        ]
        for place, text in enumerate(texts):
            vendor.insert("office", office_id=f"o{place:02d}", name=text, last_edit_user="end")
        found = {record["office_id"]: record["name"] for record in read(OFFICES).records}
        assert [found[f"o{place:02d}"] for place in range(len(texts))] == texts

    def test_the_documented_answer_is_read_as_the_notes_say(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """NULL is nothing at all and the empty text is in quotation marks; times know no zone; UTC is assumed."""
        body = (SAMPLES / "salespro_customer.csv").read_bytes()
        names = body.split(b"\n")[0].decode().replace('"', "").split(",")
        asked: dict[str, Any] = {}

        def answer(request: Request) -> Answer:
            operation = request.headers.get("x-amz-target", "").rpartition(".")[2]
            if not operation:
                asked["path"] = request.path
                return Answer(200, body, {"ETag": '"1"'}, content_type="text/csv")
            asked[operation] = request.json()
            columns = [{"Name": name, "Type": "timestamp" if name.endswith("_at") else "string"} for name in names]
            answers = {
                "GetTableMetadata": {"TableMetadata": {"Name": "customer", "Columns": columns}},
                "StartQueryExecution": {"QueryExecutionId": "7ad0a4a8-2b0b-4f6f-9a52-0f5d1c7a5e11"},
                "GetQueryExecution": sample("salespro_query_execution"),
            }
            return answer_json(200, answers[operation])

        listener = Listener("127.0.0.1", 0, answer)
        try:
            for name, value in {
                "SALESPRO_ATHENA_DATABASE": "salespro", "SALESPRO_ATHENA_OUTPUT": "s3://bkt/athena/",
                "AWS_ACCESS_KEY_ID": "AKIA", "AWS_SECRET_ACCESS_KEY": "any", "AWS_ENDPOINT_URL": listener.url,
            }.items():  # fmt: skip
                monkeypatch.setenv(name, value)
            reading = read(CUSTOMERS, datetime(2025, 3, 1, tzinfo=UTC)).finished()
        finally:
            listener.close()
        first, second = reading.records
        assert (first["crm_source_id"], first["customer_last_name"]) == (None, "")
        assert first["company_name"] == 'Invented "Roofs", Inc.'
        assert (second["company_name"], second["updated_at"]) == ("Two\nlines", None)
        assert second["customer_last_name"] == "O'Brien, Jr."
        table = Coercer("salespro", CUSTOMERS).table([json.dumps(record).encode() for record in reading.records])
        assert table["updated_at"].to_pylist() == [datetime(2025, 3, 1, 12, tzinfo=UTC), None]
        assert table["created_at"].to_pylist()[1] == datetime(2025, 3, 2, 8, 30, 0, 250_000, tzinfo=UTC)
        assert reading.context.measured == {"athena_bytes_scanned": 1_234_567}
        assert asked["path"] == "/bkt/athena/7ad0a4a8-2b0b-4f6f-9a52-0f5d1c7a5e11.csv"
        started = asked["StartQueryExecution"]
        assert started["ExecutionParameters"] == ["'2025-03-01 00:00:00.000'"]
        assert started["ResultConfiguration"] == {"OutputLocation": "s3://bkt/athena/"}
        assert 32 <= len(started["ClientRequestToken"]) <= 128
        assert "ResultReuseConfiguration" not in started

    @of(enforced_output="s3://simulated-athena-results/of-the-workgroup/")
    def test_the_result_is_read_where_the_workgroup_puts_it(self, vendor: SalesPro) -> None:
        assert read(OFFICES).records
        assert operations(vendor)[-1].startswith("/simulated-athena-results/of-the-workgroup/")

    @pytest.mark.parametrize(
        "fault", [{"kind": "reset"}, {"kind": "truncated"}, {"kind": "truncated", "mode": "chunked"}]
    )
    def test_a_broken_connection_is_taken_up_where_it_broke(self, vendor: SalesPro, fault: dict[str, Any]) -> None:
        whole = read(ESTIMATES).records
        vendor.set_fault(path=BUCKET, times=1, **fault)
        vendor.reset_counters()
        assert read(ESTIMATES).records == whole
        log = vendor.requests()["log"]
        results = [entry for entry in log if entry["path"].startswith(BUCKET)]
        assert [entry["status"] for entry in results] == [200, 206]
        assert "if-match" in results[1]["conditions"]
        assert operations(vendor).count("/StartQueryExecution") == 1

    def test_a_result_that_ends_in_the_middle_of_a_row_is_no_result(self, vendor: SalesPro) -> None:
        vendor.set_fault("truncated", path=BUCKET, mode="cut")
        with pytest.raises((VendorUnavailable, AnswerChanged)):
            read(ESTIMATES).finished()

    @pytest.mark.parametrize("more", [b'"a"', b'"a', b'"a line\n'])
    def test_a_last_row_that_is_short_of_its_end_is_noticed(
        self, vendor: SalesPro, more: bytes, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from warehouse_pipelines.simulators.salespro import athena as simulated
        from warehouse_pipelines.simulators.salespro.results import csv

        monkeypatch.setattr(simulated, "csv", lambda *given: csv(*given) + more)
        with pytest.raises(VendorUnavailable, match="middle of a row"):
            read(ESTIMATES).finished()

    @pytest.mark.parametrize(
        "fault",
        [{"kind": "missing_list"}, {"kind": "malformed", "what": "non_object"}, {"kind": "html", "status": 200}],
    )
    def test_what_is_no_result_is_an_error_that_quotes_nothing(self, vendor: SalesPro, fault: dict[str, Any]) -> None:
        vendor.set_fault(path=BUCKET, **fault)
        with pytest.raises(AnswerChanged) as caught:
            read(CUSTOMERS).finished()
        assert caught.value.__cause__ is None
        assert not any(name in str(caught.value) for name in ("cus", "Invented"))

    def test_a_result_is_read_as_a_stream(self, vendor: SalesPro, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(athena_result, "BLOCK", 4096)
        reading = read(ESTIMATES, page_size=10)
        sizes = [len(page.records) for page in reading.pages]
        assert max(sizes) <= 10
        assert sum(sizes) == len(vendor.ids("estimate"))

    @pytest.mark.parametrize("managed", [False, True])
    @pytest.mark.slow("many records")
    def test_a_row_of_megabytes_is_read_and_one_beyond_all_measure_costs_itself(
        self, vendor: SalesPro, monkeypatch: pytest.MonkeyPatch, managed: bool
    ) -> None:
        """The block is a megabyte. Marks and line breaks within texts, wherever a block is cut."""
        if managed:
            vendor.configure(managed_results=True)
            monkeypatch.setenv("SALESPRO_ATHENA_OUTPUT", "")
        note = 'He said "yes",\n"no"\n' * 75_000  # 1.5 MB
        vendor.create("credit_applications", leap_credit_app_id="long", credit_app_note=note)
        vendor.create("credit_applications", leap_credit_app_id="longer", credit_app_note=note * 4)
        vendor.create("credit_applications", leap_credit_app_id="last", credit_app_note="short")
        entity = ENTITIES["credit_applications"]
        found = {record["leap_credit_app_id"]: record["credit_app_note"] for record in read(entity).records}
        assert sorted(found) == sorted(vendor.ids("credit_applications"))
        assert (found["long"], found["longer"], found["last"]) == (note, note * 4, "short")
        monkeypatch.setattr(athena_result, "LARGEST_ROW", 2**22)
        reading = read(entity).finished()
        coercer = Coercer("salespro", entity)
        table = coercer.table([record for page in reading._seen for record in page.records])
        assert sorted(table["id"].to_pylist()) == sorted(set(found) - {"longer"})
        (reject,) = coercer.rejects
        assert (reject.key, reject.rule) == ("longer", "size")
        assert len(reject.raw) < 5000
        assert reading.context.noted["oversize_rows"] == 1

    def test_a_row_that_is_too_long_is_a_dead_letter_and_the_rest_is_loaded(
        self, database_url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with source_harness("salespro_credit_application", database_url, monkeypatch) as it:
            it.simulator.create("credit_applications", leap_credit_app_id="long", credit_app_note="x" * 3_000_000)
            it.simulator.create("credit_applications", leap_credit_app_id="longer", credit_app_note="y" * 5_000_000)
            assert (it.sync().status, len(it.rows()["longer",]["credit_app_note"])) == ("success", 5_000_000)
            monkeypatch.setattr(athena_result, "LARGEST_ROW", 2**21)
            it.simulator.delete("credit_applications", "long")
            result = it.sync(full=True)
            assert (result.status, result.failed, result.deleted) == ("partial", 1, 1)
            (letter,) = it.dead_letters()
            assert (letter["record_key"], letter["rule"]) == ("longer", "size")
            assert letter["payload"]["leap_credit_app_id"] == "longer"
            assert not it.rows()["longer",]["archived"]

    @of(managed_results=True, contacts=5_000)
    def test_a_workgroup_that_keeps_its_results_is_asked_for_them(self, vendor: SalesPro) -> None:
        """A thousand rows a page, the first of which is the header of the first page only; NULL is no empty text."""
        assert vendor.environment()["SALESPRO_ATHENA_OUTPUT"] == ""
        records = read(ESTIMATES).records
        assert sorted(record["estimate_id"] for record in records) == sorted(vendor.ids("estimate"))
        assert len(records) > 2_000
        assert {record["loan_name"] for record in records} >= {""}
        assert {record["bank_name"] for record in records} >= {None}
        assert [one for one in operations(vendor) if one == "/GetQueryResults"] == ["/GetQueryResults"] * 3
        assert not any(one.startswith("/results") for one in operations(vendor))
        assert "ResultConfiguration" not in started(vendor)[-1]
        assert "5 of" in SALESPRO.check() or "6 of" in SALESPRO.check()

    @of(managed_results=True)
    def test_an_output_location_that_is_refused_is_left_out(
        self, vendor: SalesPro, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        monkeypatch.setenv("SALESPRO_ATHENA_OUTPUT", "s3://simulated-athena-results/warehouse/")
        assert len(read(ESTIMATES).records) == len(vendor.ids("estimate"))
        assert "unset it" in caplog.text

    def test_a_workgroup_without_any_place_says_which_setting_is_missing(
        self, vendor: SalesPro, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SALESPRO_ATHENA_OUTPUT", "")
        assert SALESPRO.missing_settings() == []
        with pytest.raises(NotConfigured, match="SALESPRO_ATHENA_OUTPUT"):
            read(ESTIMATES).finished()

    def test_a_reader_that_stops_early_leaves_nothing_open(self, vendor: SalesPro) -> None:
        reading = read(ESTIMATES, page_size=2)
        reading.step()
        reading.pages.close()  # type: ignore[attr-defined]
        assert read(ESTIMATES).records


class TestTheQuery:
    def test_a_window_is_inclusive_and_has_rows_without_a_cursor(self, vendor: SalesPro) -> None:
        at = "2026-01-02 03:04:05.678"
        for key, updated in (("before", "2026-01-02 03:04:05.677"), ("at", at), ("never", None)):
            vendor.create("estimate", estimate_id=key, updated_at=updated)
        since = datetime.fromisoformat(f"{at}+00:00")
        found = keys(read(ESTIMATES, since), ESTIMATES)
        assert {"at", "never"} <= set(found)
        assert "before" not in found
        assert "'" not in queries(vendor)[-1], "values are parameters"

    def test_a_backfill_has_both_ends(self, vendor: SalesPro) -> None:
        vendor.create("estimate", estimate_id="last", updated_at="2026-01-02 23:59:59.999")
        vendor.create("estimate", estimate_id="next", updated_at="2026-01-03 00:00:00.000")
        day = datetime(2026, 1, 2, tzinfo=UTC)
        found = keys(read(ESTIMATES, day, day + timedelta(days=1), backfill=True), ESTIMATES)
        assert "last" in found
        assert "next" not in found

    def test_what_the_window_does_not_show_is_asked_for_without_bounds(self, vendor: SalesPro) -> None:
        """Where absence means deletion; ids are compared as the warehouse spells them."""
        upper = "0A1B2C3D-0000-4000-8000-00000000000F"
        answer(vendor, upper, 10, {})
        answer(vendor, "shown", 0, {})
        stored = [upper.lower(), "shown", "it's gone", *(f"gone{number}" for number in range(600))]
        since = datetime.now(UTC) - timedelta(days=1)
        reading = read(RESULTS, since, known=Held(living=stored))
        assert [record["estimate_id"] for record in reading.beside_the_window] == [upper]
        window, *others = [body["ExecutionParameters"] for body in started(vendor)]
        assert len(window) == 1
        assert [len(keys) for keys in others] == [500, 102]
        assert others[0][:2] == [f"'{upper.lower()}'", "'it''s gone'"]
        vendor.reset_counters()
        read(RESULTS, since, known=Held(living=["shown"])).finished()
        read(RESULTS, since, known=Held(living=stored), limit=1).finished()
        read(RESULTS, known=Held(living=stored)).finished()
        read(CUSTOMERS, since, known=Held(living=stored)).finished()
        assert len(started(vendor)) == 4

    @pytest.mark.parametrize("written", ["2026-01-02 03:04:05", "2026-01-02T03:04:05Z", "2026-01-02", "02.01.2026"])
    def test_a_cursor_that_is_a_text_is_read_in_any_form(self, vendor: SalesPro, written: str) -> None:
        """A form that nobody can read is asked for each time: it is set aside by name, not lost."""
        vendor.retype("estimate", updated_at="string", created_at="varchar(40)")
        vendor.create("estimate", estimate_id="new", created_at=written)
        vendor.edit_silently("estimate", "new", updated_at=written)
        vendor.create("estimate", estimate_id="old", updated_at="2025-01-01 00:00:00")
        found = keys(read(ESTIMATES, datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)), ESTIMATES)
        assert "new" in found
        assert "old" not in found

    def test_a_column_that_is_not_there_is_not_asked_for_and_told(self, vendor: SalesPro) -> None:
        vendor.retype("estimate", bank_name=None, status="string")
        vendor.create("estimate", estimate_id="new", status="won")
        reading = read(ESTIMATES)
        assert reading.records
        assert reading.context.noted == {"absent_columns": ["bank_name"]}
        assert not any("bank_name" in record for record in reading.records)
        reading = read(ESTIMATES, known=Held(values={"bank_name", "city"}))
        assert reading.finished().context.absent == {"bank_name"}
        reading = read(ESTIMATES)
        table = Coercer("salespro", ESTIMATES).table([json.dumps(record).encode() for record in reading.records])
        statuses = dict(zip(table["id" if "id" in table.column_names else "estimate_id"].to_pylist(),
                            table["status"].to_pylist(), strict=True))  # fmt: skip
        assert statuses.pop("new") == "won"
        assert set(statuses.values()) == {"true", "false"}

    @pytest.mark.parametrize("lost", ["estimate_id", "updated_at"])
    def test_a_key_or_a_cursor_that_is_not_there_is_an_error(self, vendor: SalesPro, lost: str) -> None:
        vendor.retype("estimate", **{lost: None})
        with pytest.raises(AnswerChanged, match=lost):
            read(ESTIMATES).finished()
        assert queries(vendor) == []

    def test_arrays_are_asked_for_as_json(self, vendor: SalesPro) -> None:
        records = read(ENTITIES["users"]).records
        assert all(isinstance(json.loads(record["allowed_offices"]), list) for record in records)

    @of(metadata="denied")
    def test_a_policy_without_the_catalogue_is_enough(self, vendor: SalesPro) -> None:
        assert keys(read(ESTIMATES, LONG_AGO), ESTIMATES) == sorted(vendor.ids("estimate"))
        assert started(vendor)[0]["ExecutionParameters"] == ["'salespro'", "'estimate'"]
        assert read(ENTITIES["users"]).records[0]["allowed_offices"].startswith('["')

    @pytest.mark.parametrize("metadata", ["allowed", "denied"])
    def test_a_table_that_is_not_shared_is_named(self, vendor: SalesPro, metadata: str) -> None:
        vendor.configure(metadata=metadata)
        vendor.drop("user")
        with pytest.raises(RequestRefused, match="user"):
            read(ENTITIES["users"]).finished()
        assert "5 of the 6 tables, not user" in SALESPRO.check()

    def test_a_limit_reaches_the_query(self, vendor: SalesPro) -> None:
        reading = read(ESTIMATES, limit=7)
        assert len(reading.records) == 7
        assert queries(vendor)[-1].endswith("LIMIT 7")

    def test_times_are_of_the_zone_in_the_settings(self, vendor: SalesPro, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SALESPRO_ATHENA_TIME_ZONE", "America/New_York")
        vendor.create("estimate", estimate_id="summer", updated_at="2026-07-01 08:00:00.000")
        vendor.create("estimate", estimate_id="before", updated_at="2026-07-01 07:59:59.000")
        records = {r["estimate_id"]: r for r in read(ESTIMATES, datetime(2026, 7, 1, 12, tzinfo=UTC)).records}
        assert records["summer"]["updated_at"] == "2026-07-01 08:00:00.000-04:00"
        assert "before" not in records

    def test_a_wrong_zone_is_a_missing_setting(self, vendor: SalesPro, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SALESPRO_ATHENA_TIME_ZONE", "Ohio/Dayton")
        assert SALESPRO.missing_settings() == ["SALESPRO_ATHENA_TIME_ZONE"]


class TestTheEnd:
    """How a query ends, and what is made of it."""

    @of(states=["QUEUED", "RUNNING", "QUEUED", "RUNNING"])
    def test_a_running_query_may_be_queued_again(self, vendor: SalesPro) -> None:
        assert read(OFFICES).records
        assert operations(vendor).count("/GetQueryExecution") == 5

    @pytest.mark.parametrize(
        ("reason", "how", "error"),
        [
            ("SYNTAX_ERROR: line 1:8: mismatched input", {}, RequestRefused),
            ("TABLE_NOT_FOUND: line 1:15: Table 'awsdatacatalog.salespro.x' does not exist", {}, RequestRefused),
            ("HIVE_BAD_DATA: Field 7 is of a wrong type: Ana Rivera", {}, RequestRefused),
            ("Access denied when writing to location: s3://x/y", {}, PermissionMissing),
            ("Insufficient permissions to execute the query. Not authorized: glue:GetDatabase", {}, PermissionMissing),
            ("Query exhausted resources at this scale factor", {}, VendorUnavailable),
            ("GENERIC_INTERNAL_ERROR: something", {"category": 1}, VendorUnavailable),
            ("SlowDown: Please reduce your request rate", {"retryable": True}, VendorUnavailable),
            ("Query cancelled by user", {"state": "CANCELLED"}, VendorUnavailable),
            ("Bytes scanned limit was exceeded", {"state": "CANCELLED"}, RequestRefused),
        ],
    )
    def test_a_failure_is_sorted_by_who_can_help(
        self, vendor: SalesPro, reason: str, how: dict[str, Any], error: type[Exception]
    ) -> None:
        vendor.fail_next(reason, times=9, **how)
        with pytest.raises(error) as caught:
            read(OFFICES).finished()
        assert "Ana Rivera" not in str(caught.value)
        runs = 3 if error is VendorUnavailable and not how.get("state") else 1
        assert len(queries(vendor)) == runs

    def test_a_failure_that_passes_is_run_again_as_another_query(self, vendor: SalesPro) -> None:
        vendor.fail_next("Query exhausted resources at this scale factor", times=2)
        assert read(OFFICES).records
        tokens = [entry["body"]["ClientRequestToken"] for entry in vendor.requests()["log"]
                  if entry["path"] == "/StartQueryExecution"]  # fmt: skip
        assert len(set(tokens)) == 3

    @of(bytes_cutoff=0)
    def test_the_limit_of_the_workgroup_is_told(self, vendor: SalesPro) -> None:
        with pytest.raises(RequestRefused, match="more than it allows"):
            read(ESTIMATES).finished()

    @of(states=["RUNNING"] * 100_000)
    def test_a_cancelled_run_stops_its_query(self, vendor: SalesPro, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("WAREHOUSE_RETRY_SECONDS", "1")
        reading = read(ESTIMATES)
        threading.Timer(0.5, reading.context.cancelled.set).start()
        with pytest.raises(VendorUnavailable, match="stopped"):
            reading.finished()
        assert [execution["state"] for execution in vendor.executions()] == ["CANCELLED"]

    @of(states=["RUNNING"] * 100_000)
    def test_a_query_that_does_not_end_is_stopped(self, vendor: SalesPro, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(athena, "LONGEST_QUERY", 0.1)
        with pytest.raises(VendorUnavailable, match="RUNNING for 0 s"):
            read(ESTIMATES).finished()
        assert [execution["state"] for execution in vendor.executions()] == ["CANCELLED"]

    @of(states=["RUNNING"] * 3)
    def test_a_query_whose_poll_is_refused_is_stopped(self, vendor: SalesPro) -> None:
        vendor.set_fault("unauthorized", path="/GetQueryExecution", after=1)
        with pytest.raises(CredentialRefused, match="expired"):
            read(ESTIMATES).finished()
        assert operations(vendor)[-1] == "/StopQueryExecution"


class TestTrouble:
    @pytest.mark.parametrize("path", ["/GetTableMetadata", "/StartQueryExecution", "/GetQueryExecution", BUCKET])
    @pytest.mark.parametrize(
        "fault",
        [
            {"kind": "rate_limit"},
            {"kind": "rate_limit", "retry_after": 0},
            {"kind": "rate_limit", "policy": "TooManyRequestsException"},
            {"kind": "status", "status": 503, "body": "html"},
            {"kind": "status", "status": 500, "body": "empty"},
            {"kind": "reset"},
            {"kind": "truncated"},
            {"kind": "truncated", "mode": "chunked"},
        ],
        ids=str,
    )
    def test_trouble_that_passes_costs_nothing(self, vendor: SalesPro, path: str, fault: dict[str, Any]) -> None:
        vendor.set_fault(path=path, times=2, **fault)
        assert keys(read(ESTIMATES), ESTIMATES) == sorted(vendor.ids("estimate"))
        assert len(queries(vendor)) == 1, "a start that is asked for again is the same query"

    @pytest.mark.parametrize("path", ["/StartQueryExecution", "/GetQueryExecution", BUCKET])
    def test_trouble_that_stays_is_told(self, vendor: SalesPro, path: str) -> None:
        vendor.set_fault("rate_limit", path=path)
        with pytest.raises(VendorUnavailable, match="7 attempts"):
            read(ESTIMATES).finished()

    @pytest.mark.parametrize("path", ["/GetTableMetadata", "/StartQueryExecution", BUCKET])
    def test_an_expired_credential_is_told(self, vendor: SalesPro, path: str) -> None:
        vendor.set_fault("unauthorized", path=path)
        with pytest.raises(CredentialRefused, match="Renew"):
            read(ESTIMATES).finished()

    def test_a_wrong_key_is_reported(self, vendor: SalesPro, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAWRONG")
        with pytest.raises(CredentialRefused):
            SALESPRO.check()

    def test_no_credential_at_all_is_reported(self, vendor: SalesPro, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.delenv(name)
        monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
        monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
        with pytest.raises(CredentialRefused, match="AWS_ACCESS_KEY_ID"):
            SALESPRO.check()

    @pytest.mark.parametrize(("setting", "value"), [("AWS_PROFILE", "nosuch"), ("AWS_ENDPOINT_URL", "no url")])
    def test_aws_settings_that_cannot_be_used_are_told(
        self, vendor: SalesPro, monkeypatch: pytest.MonkeyPatch, setting: str, value: str
    ) -> None:
        monkeypatch.setenv(setting, value)
        with pytest.raises(NotConfigured, match=value):
            SALESPRO.check()

    @pytest.mark.parametrize(
        ("setting", "value"),
        [
            ("SALESPRO_ATHENA_WORKGROUP", "nosuch"),
            ("SALESPRO_ATHENA_OUTPUT", "s3://another-bucket/"),
            ("SALESPRO_ATHENA_DATABASE", "nosuch"),
        ],
    )
    def test_a_wrong_setting_is_told(
        self, vendor: SalesPro, monkeypatch: pytest.MonkeyPatch, setting: str, value: str
    ) -> None:
        monkeypatch.setenv(setting, value)
        with pytest.raises(RequestRefused):
            read(ESTIMATES).finished()

    def test_secrets_are_not_shown(self, vendor: SalesPro, caplog: pytest.LogCaptureFixture) -> None:
        secret = vendor.settings.token
        with caplog.at_level(logging.DEBUG):
            assert read(CUSTOMERS).records
            vendor.set_fault("unauthorized")
            with pytest.raises(CredentialRefused) as caught:
                read(CUSTOMERS).finished()
        said = [record.getMessage() for record in caplog.records] + [str(caught.value), repr(Settings())]
        said.append(repr(Account(access_key="key", secret=secret)) + repr(read(CUSTOMERS).request))
        assert not any(secret in text for text in said)


@pytest.fixture
def customers(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[SourceHarness]:
    with source_harness("salespro_customer", database_url, monkeypatch) as one:
        yield one


class TestInTheWarehouse:
    @pytest.mark.slow("rarer behaviour of a vendor")
    def test_a_customer_has_the_newest_of_its_estimates(self, customers: SourceHarness) -> None:
        """One row a customer, whatever the order in which its estimates were made, edited and removed."""
        vendor = customers.simulator
        old = {"customer_id": "c", "estimate_id": "first", "created_at": "2026-01-01 00:00:00.000"}
        new = {"customer_id": "c", "estimate_id": "second", "created_at": "2026-02-01 00:00:00.000"}
        now = datetime.now(UTC).replace(tzinfo=None).isoformat(" ", timespec="milliseconds")
        vendor.insert("customer", **new, updated_at="2026-02-01 00:00:00.000")
        vendor.insert("customer", **old, updated_at="2026-03-01 00:00:00.000")
        customers.sync()
        assert customers.rows()["c",]["estimate_id"] == "second"

        vendor.insert(
            "customer", **{**old, "estimate_id": "older", "created_at": "2025-01-01 00:00:00.000"}, updated_at=now
        )
        assert customers.sync().mode == "delta"
        assert customers.rows()["c",]["estimate_id"] == "second"

        vendor.insert("customer", **{**new, "estimate_id": "third", "created_at": now}, updated_at=now)
        customers.sync()
        assert customers.rows()["c",]["estimate_id"] == "third"

        vendor.engine.db.execute("DELETE FROM customer WHERE estimate_id = 'third'")
        customers.sync(full=True)
        assert customers.rows()["c",]["estimate_id"] == "second", "the last read wins"
        assert len(customers.rows()) == len(vendor.ids("customer"))

    @pytest.mark.parametrize(
        ("table", "column"),
        [
            ("salespro_credit_application", "credit_app_note"),
            ("salespro_customer", "customer_last_name"),
            ("salespro_estimate", "job_type"),
        ],
    )
    def test_an_edit_in_the_hour_that_occurs_twice_is_loaded(
        self, database_url: str, monkeypatch: pytest.MonkeyPatch, table: str, column: str
    ) -> None:
        with source_harness(table, database_url, monkeypatch) as it:
            monkeypatch.setenv("SALESPRO_ATHENA_TIME_ZONE", "America/New_York")
            vendor, path = it.simulator, it.entity.path
            key = vendor.ids(path)[-1]
            vendor.edit(path, key, **{column: "before", "updated_at": "2025-11-02 01:50:00.000"})
            it.sync()
            vendor.edit(path, key, **{column: "20 minutes later", "updated_at": "2025-11-02 01:10:00.000"})
            assert it.sync(start_date=date(2025, 11, 1)).updated == 1
            assert it.rows()[key,][column] == "20 minutes later"

    @pytest.mark.parametrize("table", ["salespro_lead_result", "salespro_lead_result_line_item"])
    def test_an_estimate_whose_newest_answer_is_removed_has_the_one_before_the_window(
        self, database_url: str, monkeypatch: pytest.MonkeyPatch, table: str
    ) -> None:
        with source_harness(table, database_url, monkeypatch) as it:
            vendor = it.simulator
            older = {"Appointment Result": "older", "Job Type 1": "older"}
            newer = {"Appointment Result": "newer", "Job Type 1": "newer", "Job Type 2": "newer"}
            answer(vendor, "again", 10, older)
            answer(vendor, "again", 1, newer)
            answer(vendor, "gone", 1, older)
            it.sync()
            vendor.engine.db.execute("DELETE FROM lead_results WHERE created_at > ?", [days_ago(5)])
            answer(vendor, "new", 0, older)
            result = it.sync()
            rows = {key: row for key, row in it.rows().items() if key[0] in ("again", "gone")}
            gone = {key for key, row in rows.items() if row["archived"]}
            if table == "salespro_lead_result":
                assert gone == {("gone",)}
                assert rows["again",]["result_type"] == "older"
            else:
                assert gone == {("again", "2"), ("gone", "1")}
                assert rows["again", "1"]["job_type"] == "older"
            assert (result.mode, result.status, result.deleted) == ("delta", "success", len(gone))
            assert len(started(vendor)) == 3, "the first run one query, the second another for what was not shown"
            assert it.sync().deleted == 0
            assert len(started(vendor)) == 4
            it.sync(full=True)
            assert {key for key, row in it.rows().items() if row["archived"] and key in rows} == gone

    def test_a_day_without_a_whole_read_is_followed_by_one(self, customers: SourceHarness) -> None:
        customers.sync()
        assert customers.sync().mode == "delta"
        customers.execute("UPDATE orchestration.sync_history SET start_time = start_time - interval '25 hours'")
        assert customers.sync().mode == "full"

    def test_every_run_tells_the_bytes_scanned(self, customers: SourceHarness) -> None:
        customers.sync()
        customers.sync()
        customers.sync(dry_run=True)
        scanned = [row["performance_metrics"]["athena_bytes_scanned"] for row in customers.history()]
        assert len(scanned) == 3
        assert all(count > 0 for count in scanned)

    def test_a_dead_letter_that_is_replayed_tells_them_too(
        self, database_url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with source_harness("salespro_estimate", database_url, monkeypatch) as it:
            it.driver.corrupt(it.entity, "bad_date")
            strict, entity = it.with_entity(severity={"timestamptz": "reject"})
            assert it.sync(source=strict, entity=entity).failed == 1
            assert replayed([it.source], it.url)
            assert [row["performance_metrics"]["athena_bytes_scanned"] for row in it.history()][1] == 0

    def test_the_lead_of_a_result_is_what_the_crm_calls_its_customer(self, vendor: SalesPro) -> None:
        vendor.ids("customer")
        known = dict(vendor.engine.db.execute("SELECT estimate_id, crm_source_id FROM customer"))
        reading = read(RESULTS)
        assert {record["estimate_id"]: record["lead_id"] for record in reading.records} == {
            record["estimate_id"]: known[record["estimate_id"]] for record in reading.records
        }
        assert sum(record["lead_id"] is not None for record in reading.records) > 50
        assert reading.context.noted == {"absent_columns": ["updated_at"]}
        vendor.retype("customer", crm_source_id=None)
        reading = read(RESULTS)
        assert len(reading.records) == len(vendor.ids("lead_results"))
        assert reading.context.noted == {"absent_columns": ["lead_id", "updated_at"]}
        vendor.drop("customer")
        assert len(read(RESULTS).records) == len(vendor.ids("lead_results"))
        vendor.retype("lead_results", lead_id="string")
        key = vendor.create("lead_results", lead_id="their own")
        assert [one["lead_id"] for one in read(RESULTS).records if one["estimate_id"] == key] == [None]

    def test_a_look_up_between_columns_of_two_types_is_a_look_up(self, vendor: SalesPro) -> None:
        """`bigint` against `varchar` is a TYPE_MISMATCH over there unless both are cast."""
        vendor.ids("customer")
        vendor.retype("customer", estimate_id="bigint", crm_source_id="bigint")
        with pytest.raises(QueryFailed, match="TYPE_MISMATCH"):
            vendor.engine.run('SELECT 1 FROM "customer" c JOIN "lead_results" r ON c."estimate_id" = r."estimate_id"')
        reading = read(RESULTS)
        assert sum(record["lead_id"] is not None for record in reading.records) > 50
        assert reading.context.noted == {"absent_columns": ["updated_at"]}

    @pytest.mark.parametrize("why", ["denied", "refused", "refused at once"])
    def test_a_look_up_that_is_refused_costs_its_own_column_only(
        self, vendor: SalesPro, why: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        total = len(vendor.ids("lead_results"))
        if why == "denied":
            vendor.deny("customer")
        elif why == "refused":
            vendor.fail_next("HIVE_BAD_DATA: a field of Ana Rivera")
        else:
            vendor.set_fault("status", path="/StartQueryExecution", status=400, times=1)
        reading = read(RESULTS, known=Held(values={"lead_id"}))
        assert len(reading.records) == total
        assert not any("lead_id" in record for record in reading.records)
        assert reading.context.noted == {"absent_columns": ["lead_id", "updated_at"]}
        assert reading.context.absent == {"lead_id"}
        assert "lead_id (Athena refuses the query that looks it up" in caplog.text
        assert "Ana Rivera" not in caplog.text
        assert "unconfirmed" in RESULTS.about

    def test_a_refusal_that_is_not_for_the_look_up_is_an_error(self, vendor: SalesPro) -> None:
        vendor.deny("lead_results")
        with pytest.raises(PermissionMissing, match="lead_results"):
            read(RESULTS).finished()
        assert len(queries(vendor)) == 2

    @pytest.mark.parametrize("since", [None, LONG_AGO])
    def test_a_window_does_not_look_for_values_that_were_never_there(
        self, vendor: SalesPro, since: datetime | None
    ) -> None:
        held = Held()
        assert read(RESULTS, since, known=held).finished().context.noted == {"absent_columns": ["updated_at"]}
        assert held.asked == (set() if since else {"updated_at"})

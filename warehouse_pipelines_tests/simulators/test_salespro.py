"""The simulated SalesPro answers as the vendor notes say. Each test names the behaviour it checks."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from warehouse_pipelines.simulators.hubspot.simulator import HubSpot
from warehouse_pipelines.simulators.salespro.records import COLUMNS, KEYS
from warehouse_pipelines.simulators.salespro.results import csv, parsed
from warehouse_pipelines.simulators.salespro.simulator import SalesPro
from warehouse_pipelines.simulators.server import Simulators, start
from warehouse_pipelines_tests.harness.http_client import HttpClient

NOW = datetime(2026, 9, 2, 16, 0, tzinfo=UTC)
OUTPUT = "s3://simulated-athena-results/tests/"


class Client:
    """A started simulator, spoken to without an AWS library."""

    def __init__(self, simulators: Simulators) -> None:
        self.salespro = simulators.of(SalesPro)
        settings = simulators.environment()
        credential = (
            f"AWS4-HMAC-SHA256 Credential={settings['AWS_ACCESS_KEY_ID']}/20260902/us-east-1/athena/aws4_request"
        )
        self.http = HttpClient(base_url=settings["AWS_ENDPOINT_URL"], headers={"Authorization": credential}, timeout=60)

    def call(self, operation: str, status: int = 200, **asked: Any) -> Any:
        answer = self.http.post("/", json=asked, headers={"X-Amz-Target": f"AmazonAthena.{operation}"})
        assert answer.status_code == status, answer.text
        return answer.json()

    def start(self, sql: str, *parameters: str, status: int = 200, **more: Any) -> Any:
        asked: dict[str, Any] = {
            "QueryString": sql,
            "QueryExecutionContext": {"Database": "salespro"},
            "ResultConfiguration": {"OutputLocation": OUTPUT},
            "WorkGroup": "primary",
            **({"ExecutionParameters": list(parameters)} if parameters else {}),
            **more,
        }
        return self.call("StartQueryExecution", status, **asked)

    def execution(self, number: str) -> Any:
        return self.call("GetQueryExecution", QueryExecutionId=number)["QueryExecution"]

    def run(self, sql: str, *parameters: str) -> list[list[str | None]]:
        execution = self.execution(self.start(sql, *parameters)["QueryExecutionId"])
        assert execution["Status"]["State"] == "SUCCEEDED", execution
        location = execution["ResultConfiguration"]["OutputLocation"].removeprefix("s3:/")
        return parsed(self.http.get(location).content)

    def failed(self, sql: str, *parameters: str) -> str:
        status = self.execution(self.start(sql, *parameters)["QueryExecutionId"])["Status"]
        assert status["State"] == "FAILED"
        assert status["AthenaError"]["ErrorCategory"] == 2
        return str(status["StateChangeReason"])


@pytest.fixture(scope="module")
def shared_client() -> Iterator[Client]:
    """A vendor that no test changes."""
    with start(["salespro"], contacts=400, now=NOW.timestamp()) as simulators:
        yield Client(simulators)


@pytest.fixture
def client() -> Iterator[Client]:
    with start(["salespro"], contacts=60, now=NOW.timestamp()) as simulators:
        yield Client(simulators)


class TestTheQuery:
    @pytest.mark.parametrize("table", KEYS)
    def test_a_table_has_its_columns(self, shared_client: Client, table: str) -> None:
        names = list(COLUMNS[table])
        header, *rows = shared_client.run(f'SELECT {", ".join(names)} FROM "{table}"')
        assert header == names
        assert {row[names.index(KEYS[table])] for row in rows} == set(shared_client.salespro.ids(table))
        described = shared_client.call(
            "GetTableMetadata", CatalogName="AwsDataCatalog", DatabaseName="salespro", TableName=table
        )
        assert {one["Name"]: one["Type"] for one in described["TableMetadata"]["Columns"]} == COLUMNS[table]

    def test_a_parameter_is_pasted_as_a_literal(self, shared_client: Client) -> None:
        sql = "SELECT estimate_id FROM estimate WHERE updated_at >= CAST(? AS timestamp)"
        some = len(shared_client.run(sql, "'2026-01-01 00:00:00'"))
        assert 1 < some < 200
        assert some == len(
            shared_client.run("SELECT estimate_id FROM estimate WHERE updated_at >= timestamp '2026-01-01'")
        )
        assert some == len(
            shared_client.run("SELECT estimate_id FROM estimate WHERE updated_at >= ?", "timestamp '2026-01-01'")
        )
        assert "TYPE_MISMATCH" in shared_client.failed(sql, "2026-01-01"), "without quotation marks it is a subtraction"
        assert "INVALID_PARAMETER_USAGE" in shared_client.failed(sql)

    @pytest.mark.parametrize(
        ("sql", "reason"),
        [
            ("SELECT nosuch FROM estimate", "COLUMN_NOT_FOUND"),
            ('SELECT "nosuch" FROM estimate', "COLUMN_NOT_FOUND"),
            ("SELECT 1 FROM nosuch", "TABLE_NOT_FOUND"),
            ("SELECT 1 FROM other.estimate", "SCHEMA_NOT_FOUND"),
            ("SELECT 1 FROM estimate WHERE updated_at >= '2026-01-01'", "TYPE_MISMATCH"),
            ("SELECT 1 FROM estimate WHERE city >= timestamp '2026-01-01'", "TYPE_MISMATCH"),
            ("SELECT CAST(city AS timestamp) FROM estimate", "INVALID_CAST_ARGUMENT"),
            ("SELECT from_iso8601_timestamp(city) FROM estimate", "INVALID_FUNCTION_ARGUMENT"),
            ("SELECT nosuch(city) FROM estimate", "FUNCTION_NOT_FOUND"),
        ],
    )
    def test_what_is_wrong_with_a_query_ends_it(self, shared_client: Client, sql: str, reason: str) -> None:
        assert shared_client.failed(sql).startswith(reason)

    @pytest.mark.parametrize("sql", ["selekt nonsense from", "SELECT 1 1 FROM office", ""])
    def test_what_is_no_query_is_not_started(self, shared_client: Client, sql: str) -> None:
        assert shared_client.start(sql, status=400)["__type"] == "InvalidRequestException"

    def test_a_try_is_null_where_it_fails(self, shared_client: Client) -> None:
        iso = "TRY(CAST(from_iso8601_timestamp(city) AS timestamp))"
        sql = f"SELECT TRY_CAST(city AS timestamp) AS a, {iso} AS b FROM estimate"
        assert set(map(tuple, shared_client.run(sql)[1:])) == {(None, None)}

    def test_an_array_is_no_json_unless_it_is_cast(self, shared_client: Client) -> None:
        (_, plain), (_, cast) = (
            shared_client.run("SELECT allowed_offices FROM user LIMIT 1"),
            shared_client.run("SELECT json_format(CAST(allowed_offices AS json)) AS allowed_offices FROM user LIMIT 1"),
        )
        assert (plain, cast) == (["[off0001]"], ['["off0001"]'])

    def test_the_catalogue_is_a_query_that_scans_nothing(self, shared_client: Client) -> None:
        sql = "SELECT column_name, data_type FROM information_schema.columns WHERE table_schema = ? AND table_name = ?"
        number = shared_client.start(sql, "'salespro'", "'lead_results'")["QueryExecutionId"]
        assert shared_client.execution(number)["Statistics"]["DataScannedInBytes"] == 0
        rows = shared_client.run(sql, "'salespro'", "'lead_results'")
        assert rows[1:] == [["estimate_id", "varchar"], ["company_id", "varchar"], ["lead_results", "varchar"],
                            ["created_at", "timestamp(3)"]]  # fmt: skip


class TestTheExecution:
    def test_states_come_one_at_a_poll_and_may_go_back(self, client: Client) -> None:
        client.salespro.configure(states=["QUEUED", "RUNNING", "QUEUED", "RUNNING"])
        number = client.start("SELECT 1 AS one FROM office")["QueryExecutionId"]
        seen = [client.execution(number)["Status"]["State"] for _ in range(6)]
        assert seen == ["QUEUED", "RUNNING", "QUEUED", "RUNNING", "SUCCEEDED", "SUCCEEDED"]

    def test_a_result_is_not_shown_before_the_end(self, client: Client) -> None:
        client.salespro.configure(states=["RUNNING"])
        number = client.start("SELECT 1 AS one FROM office")["QueryExecutionId"]
        client.execution(number)
        refused = client.call("GetQueryResults", 400, QueryExecutionId=number)
        assert refused["message"] == "Query has not yet finished. Current state: RUNNING"

    def test_results_are_a_thousand_rows_a_page_and_the_header_is_the_first(self, client: Client) -> None:
        client.salespro.engine.need("office")
        client.salespro.engine.db.executemany(
            "INSERT INTO office (office_id) VALUES (?)", [(f"o{n}",) for n in range(1494)]
        )
        number = client.start("SELECT office_id, name FROM office ORDER BY office_id")["QueryExecutionId"]
        client.execution(number)
        first = client.call("GetQueryResults", QueryExecutionId=number)
        second = client.call("GetQueryResults", QueryExecutionId=number, NextToken=first["NextToken"])
        rows = [page["ResultSet"]["Rows"] for page in (first, second)]
        assert [len(page) for page in rows] == [1000, 500]
        assert rows[0][0] == {"Data": [{"VarCharValue": "office_id"}, {"VarCharValue": "name"}]}
        assert rows[0][1] == {"Data": [{"VarCharValue": "o0"}, {}]}, "NULL has no value"
        assert "NextToken" not in second

    def test_a_token_makes_a_start_idempotent(self, client: Client) -> None:
        token = str(uuid.uuid4())
        sql = "SELECT 1 AS one FROM office"
        assert client.start(sql, ClientRequestToken=token) == client.start(sql, ClientRequestToken=token)
        assert len(client.salespro.executions()) == 1
        refused = client.start("SELECT 2 AS two FROM office", status=400, ClientRequestToken=token)
        assert refused["message"] == "Idempotent parameters do not match"
        client.start(sql, status=400, ClientRequestToken="short")

    def test_a_query_can_be_stopped_until_it_has_ended(self, client: Client) -> None:
        client.salespro.configure(states=["RUNNING"] * 9)
        number = client.start("SELECT 1 AS one FROM office")["QueryExecutionId"]
        client.execution(number)
        client.call("StopQueryExecution", QueryExecutionId=number)
        assert client.execution(number)["Status"]["State"] == "CANCELLED"
        client.salespro.configure(states=[])
        done = client.start("SELECT 1 AS one FROM office")["QueryExecutionId"]
        client.execution(done)
        client.call("StopQueryExecution", QueryExecutionId=done)
        assert client.execution(done)["Status"]["State"] == "SUCCEEDED"

    @pytest.mark.parametrize(
        "wrong",
        [
            {"WorkGroup": "nosuch"},
            {"ResultConfiguration": {}},
            {"ResultConfiguration": {"OutputLocation": "s3://somebody-elses/"}},
        ],
    )
    def test_a_wrong_setting_is_refused_at_the_start(self, shared_client: Client, wrong: dict[str, Any]) -> None:
        assert (
            shared_client.start("SELECT 1 AS one FROM office", status=400, **wrong)["__type"]
            == "InvalidRequestException"
        )

    def test_an_unknown_query_is_an_invalid_request(self, shared_client: Client) -> None:
        refused = shared_client.call("GetQueryExecution", 400, QueryExecutionId=str(uuid.uuid4()))
        assert refused["__type"] == "InvalidRequestException"

    def test_a_cutoff_cancels(self, client: Client) -> None:
        client.salespro.configure(bytes_cutoff=10)
        status = client.execution(client.start("SELECT estimate_id FROM estimate")["QueryExecutionId"])["Status"]
        assert (status["State"], status["StateChangeReason"]) == ("CANCELLED", "Bytes scanned limit was exceeded")


class TestTheResult:
    def test_every_field_is_in_quotation_marks_and_null_is_nothing(self) -> None:
        body = csv(["a", "b"], [["x", None], ["", 'say "hi"'], ["two\nlines, one comma", 7]])
        assert body == b'"a","b"\n"x",\n"","say ""hi"""\n"two\nlines, one comma","7"\n'
        assert parsed(body)[1:] == [["x", None], ["", 'say "hi"'], ["two\nlines, one comma", "7"]]

    def test_an_object_can_be_had_from_any_byte(self, shared_client: Client) -> None:
        execution = shared_client.execution(shared_client.start("SELECT office_id FROM office")["QueryExecutionId"])
        path = execution["ResultConfiguration"]["OutputLocation"].removeprefix("s3:/")
        whole = shared_client.http.get(path)
        head = shared_client.http.head(path)
        assert (head.headers["content-length"], head.content) == (str(len(whole.content)), b"")
        part = shared_client.http.get(path, headers={"Range": "bytes=10-", "If-Match": whole.headers["etag"]})
        assert (part.status_code, part.content) == (206, whole.content[10:])
        assert shared_client.http.get(path, headers={"Range": "bytes=2-4"}).content == whole.content[2:5]
        assert shared_client.http.get(path, headers={"If-Match": '"another"'}).status_code == 412
        assert shared_client.http.get(path, headers={"Range": "bytes=999999-"}).status_code == 416
        assert "NoSuchKey" in shared_client.http.get("/simulated-athena-results/nosuch.csv").text
        assert "NoSuchBucket" in shared_client.http.get("/nosuch/x.csv").text

    def test_a_stranger_is_refused(self, shared_client: Client) -> None:
        url = shared_client.salespro.url
        target = {"X-Amz-Target": "AmazonAthena.GetWorkGroup"}
        assert httpx.post(url, json={}, headers=target).json()["__type"] == "UnrecognizedClientException"
        assert httpx.get(f"{url}/simulated-athena-results/x.csv").status_code == 403


class TestThePeople:
    def test_the_town_is_the_same_every_time(self, shared_client: Client) -> None:
        with start(["salespro"], contacts=400, now=NOW.timestamp()) as simulators:
            again = Client(simulators)
            for table in KEYS:
                assert again.run(f'SELECT * FROM "{table}"') == shared_client.run(f'SELECT * FROM "{table}"')

    def test_a_customer_is_a_contact_of_hubspot(self) -> None:
        with start(["salespro", "hubspot"], contacts=100) as simulators:
            customers = Client(simulators).run("SELECT crm_source_id, customer_last_name FROM customer")[1:]
            hubspot = simulators.of(HubSpot)
            known = set(hubspot.ids("contacts"))
            linked = [(key, name) for key, name in customers if key]
            assert len(linked) > 20
            assert {key for key, _ in linked} <= known
            names = [hubspot.record("contacts", key)["properties"]["lastname"] for key, _ in linked]
            alike = sum(str(one).casefold() == other.casefold() for (_, one), other in zip(linked, names, strict=True))
            assert alike > 0.7 * len(linked), "but for misspelt ones"

    def test_a_customer_has_a_row_for_each_estimate(self, shared_client: Client) -> None:
        counts = shared_client.salespro.counts()
        rows = shared_client.run("SELECT customer_id FROM customer")[1:]
        assert 190 < len(rows) == counts["estimate"] <= 200, "but for the visits that lie ahead"
        assert counts["customer"] == pytest.approx(0.8 * len(rows), abs=1)

    def test_forms_are_lists_of_titles_and_values(self, shared_client: Client) -> None:
        for (text,) in shared_client.run("SELECT lead_results FROM lead_results")[1:]:
            assert all(answer.keys() == {"title", "value"} for answer in json.loads(text or ""))

    def test_an_edit_moves_updated_at_and_a_silent_one_does_not(self, client: Client) -> None:
        vendor = client.salespro
        key = vendor.ids("estimate")[0]
        (before,) = vendor.rows("estimate", key)
        vendor.edit_silently("estimate", key, city="Nowhere")
        assert vendor.rows("estimate", key) == [{**before, "city": "Nowhere"}]
        vendor.edit("estimate", key, city="Elsewhere")
        assert vendor.rows("estimate", key)[0]["updated_at"] > before["updated_at"]
        vendor.delete("estimate", key)
        assert key not in vendor.ids("estimate")
        vendor.restore("estimate", key)
        assert vendor.rows("estimate", key)[0]["city"] == "Elsewhere"
        with pytest.raises(ValueError, match="no column"):
            vendor.edit("estimate", key, nosuch=1)

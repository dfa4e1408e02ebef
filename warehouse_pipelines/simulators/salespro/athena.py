"""The Athena that runs a query when it is started; a client sees `states` of it, one at each poll, then the end."""

from __future__ import annotations

import itertools
import re
import time
import uuid
from dataclasses import dataclass, field
from typing import Any

from warehouse_pipelines.simulators.core.wire import Answer, Request, answer_json
from warehouse_pipelines.simulators.salespro.engine import Engine
from warehouse_pipelines.simulators.salespro.results import csv, parsed
from warehouse_pipelines.simulators.salespro.settings import SalesProSettings
from warehouse_pipelines.simulators.salespro.trino_query import MalformedQuery, QueryFailed

LOCATION = re.compile(r"s3://([a-z0-9.-]{3,63})(?:/(.*))?")
LARGEST_QUERY = 262_144
MANAGED = "results-that-athena-keeps"
PAGE = 1000


@dataclass
class Query:
    id: str
    text: str
    output: str
    token: str | None
    submitted: float
    end: str = "SUCCEEDED"
    reason: str | None = None
    error: dict[str, Any] | None = None
    scanned: int = 0
    header: tuple[str, ...] = ()
    states: list[str] = field(default_factory=list)
    state: str = "QUEUED"


class Athena:
    """Queries, how they stand, and their results."""

    def __init__(self, settings: SalesProSettings, engine: Engine, seed: int) -> None:
        self.settings, self.engine, self._seed = settings, engine, seed
        self.queries: dict[str, Query] = {}
        self.objects: dict[str, bytes] = {}
        """The files of results, by their path."""
        self.failures: list[dict[str, Any]] = []
        """How the next queries end."""
        self._tokens: dict[str, tuple[str, str]] = {}
        self._new = itertools.count(1)

    def answer(self, request: Request) -> Answer:
        operations = {
            "/StartQueryExecution": self._start,
            "/GetQueryExecution": self._execution,
            "/StopQueryExecution": self._stop,
            "/GetQueryResults": self._results,
            "/GetTableMetadata": self._table_metadata,
            "/GetWorkGroup": self._work_group,
        }
        if request.path not in operations:
            return error_answer("UnknownOperationException", request.path)
        return operations[request.path](request.json())

    def _start(self, asked: dict[str, Any]) -> Answer:
        text, token = asked.get("QueryString") or "", asked.get("ClientRequestToken")
        if not 1 <= len(text.encode()) <= LARGEST_QUERY:
            return invalid_request("QueryString is empty or longer than 262144 bytes")
        if token is not None and not 32 <= len(token) <= 128:
            return invalid_request("ClientRequestToken must have a length of 32 to 128")
        if asked.get("WorkGroup", "primary") != self.settings.workgroup:
            return invalid_request(f"WorkGroup {asked['WorkGroup']} is not found.")
        if token in self._tokens:
            known, same = self._tokens[token]
            if same != request_text(asked):
                return invalid_request("Idempotent parameters do not match")
            return answer_json(200, {"QueryExecutionId": known})
        client = (asked.get("ResultConfiguration") or {}).get("OutputLocation") or ""
        if self.settings.managed_results:
            if client:
                return invalid_request(
                    "ManagedQueryResultsConfiguration and ResultConfiguration cannot be set together."
                )
            location = f"s3://{MANAGED}"
        else:
            location = self.settings.enforced_output or client
        if not location:
            return invalid_request(
                "No output location provided. An output location is required either through the Workgroup result "
                "configuration setting or as an API input."
            )
        match = LOCATION.fullmatch(location)
        if match is None or match[1] not in (self.settings.bucket, MANAGED):
            return invalid_request(f"Unable to verify/create output bucket {match[1] if match else location}")
        number = str(uuid.UUID(int=(self._seed << 64) + next(self._new), version=4))
        folder = (match[2] or "").strip("/")
        key = f"{folder}/{number}.csv" if folder else f"{number}.csv"
        query = Query(number, text, f"s3://{match[1]}/{key}", token, time.time())
        query.states = list(self.settings.states)
        try:
            self._run(query, asked, f"/{match[1]}/{key}")
        except MalformedQuery as error:
            return error_answer("InvalidRequestException", str(error), AthenaErrorCode="MALFORMED_QUERY")
        self.queries[number] = query
        if token is not None:
            self._tokens[token] = (number, request_text(asked))
        return answer_json(200, {"QueryExecutionId": number})

    def _run(self, query: Query, asked: dict[str, Any], path: str) -> None:
        if self.failures:
            failure = self.failures.pop(0)
            query.end, query.reason, query.error = failure["state"], failure["reason"], failure["error"]
            return
        database = (asked.get("QueryExecutionContext") or {}).get("Database", self.settings.database)
        try:
            if database != self.settings.database:
                raise QueryFailed(f"SCHEMA_NOT_FOUND: line 1:15: Schema '{database}' does not exist")
            result = self.engine.run(query.text, asked.get("ExecutionParameters"))
            query.header, query.scanned = result.columns, result.scanned
            if self.settings.bytes_cutoff is not None and result.scanned > self.settings.bytes_cutoff:
                query.end, query.reason = "CANCELLED", "Bytes scanned limit was exceeded"
                return
            self.objects[path] = csv(result.columns, result.rows)
        except QueryFailed as failure:
            query.end, query.reason = "FAILED", str(failure)
            query.error = {"ErrorCategory": 2, "ErrorType": 1006, "Retryable": False, "ErrorMessage": str(failure)}

    def _known(self, asked: dict[str, Any]) -> Query | None:
        return self.queries.get(asked.get("QueryExecutionId", ""))

    def _execution(self, asked: dict[str, Any]) -> Answer:
        query = self._known(asked)
        if query is None:
            return invalid_request(f"QueryExecution {asked.get('QueryExecutionId')} was not found")
        if query.state not in ("SUCCEEDED", "FAILED", "CANCELLED"):
            query.state = query.states.pop(0) if query.states else query.end
        status: dict[str, Any] = {"State": query.state, "SubmissionDateTime": query.submitted}
        statistics: dict[str, Any] = {"EngineExecutionTimeInMillis": 250, "QueryQueueTimeInMillis": 10}
        if query.state == query.end:
            status["CompletionDateTime"] = time.time()
            statistics["DataScannedInBytes"] = query.scanned
            if query.reason:
                status["StateChangeReason"] = query.reason
            if query.error:
                status["AthenaError"] = query.error
        execution = {
            "QueryExecutionId": query.id,
            "Query": query.text,
            "StatementType": "DML",
            **(
                {"ManagedQueryResultsConfiguration": {"Enabled": True}}
                if query.output.startswith(f"s3://{MANAGED}/")
                else {"ResultConfiguration": {"OutputLocation": query.output}}
            ),
            "QueryExecutionContext": {"Database": self.settings.database},
            "Status": status,
            "Statistics": statistics,
            "WorkGroup": self.settings.workgroup,
        }
        return answer_json(200, {"QueryExecution": execution})

    def _stop(self, asked: dict[str, Any]) -> Answer:
        query = self._known(asked)
        if query is None:
            return invalid_request(f"QueryExecution {asked.get('QueryExecutionId')} was not found")
        if query.state not in ("SUCCEEDED", "FAILED", "CANCELLED"):
            query.state = query.end = "CANCELLED"
            query.reason, query.states = "Query cancelled by user", []
        return answer_json(200, {})

    def _results(self, asked: dict[str, Any]) -> Answer:
        """At most a thousand rows, of which the first of the first page is the header."""
        query = self._known(asked)
        if query is None:
            return invalid_request(f"QueryExecution {asked.get('QueryExecutionId')} was not found")
        if query.state != "SUCCEEDED":
            return invalid_request(f"Query has not yet finished. Current state: {query.state}")
        start = int(asked.get("NextToken") or 0)
        size = min(PAGE, int(asked.get("MaxResults") or PAGE))
        rows = parsed(self.objects[query.output.removeprefix("s3:/")])
        shown = [
            {"Data": [{} if value is None else {"VarCharValue": value} for value in row]}
            for row in rows[start : start + size]
        ]
        info = [{"Name": name, "Type": "varchar"} for name in query.header]
        body: dict[str, Any] = {
            "ResultSet": {"Rows": shown, "ResultSetMetadata": {"ColumnInfo": info}},
            "UpdateCount": 0,
        }
        if start + size < len(rows):
            body["NextToken"] = str(start + size)
        return answer_json(200, body, page_size=size)

    def _table_metadata(self, asked: dict[str, Any]) -> Answer:
        if self.settings.metadata == "denied":
            return error_answer("AccessDeniedException", "User is not authorized to perform: athena:GetTableMetadata")
        if asked.get("DatabaseName") != self.settings.database:
            return error_answer("MetadataException", "EntityNotFoundException: Database not found.")
        table = asked.get("TableName", "")
        if table not in self.engine.columns:
            return error_answer("MetadataException", f"EntityNotFoundException: Table {table} not found.")
        columns = [{"Name": name, "Type": type_} for name, type_ in self.engine.columns[table].items()]
        return answer_json(200, {"TableMetadata": {"Name": table, "TableType": "EXTERNAL_TABLE", "Columns": columns}})

    def _work_group(self, asked: dict[str, Any]) -> Answer:
        if asked.get("WorkGroup") != self.settings.workgroup:
            return invalid_request(f"WorkGroup {asked.get('WorkGroup')} is not found.")
        enforced = self.settings.enforced_output
        configuration: dict[str, Any] = {"EnforceWorkGroupConfiguration": bool(enforced)}
        if self.settings.managed_results:
            configuration["ManagedQueryResultsConfiguration"] = {"Enabled": True}
        if enforced:
            configuration["ResultConfiguration"] = {"OutputLocation": enforced}
        return answer_json(200, {"WorkGroup": {"Name": self.settings.workgroup, "Configuration": configuration}})


def request_text(asked: dict[str, Any]) -> str:
    return repr(sorted((name, repr(value)) for name, value in asked.items()))


def error_answer(kind: str, message: str, **more: Any) -> Answer:
    return answer_json(400, {"__type": kind, "message": message, **more}, content_type="application/x-amz-json-1.1")


def invalid_request(message: str) -> Answer:
    return error_answer("InvalidRequestException", message, AthenaErrorCode="INVALID_INPUT")

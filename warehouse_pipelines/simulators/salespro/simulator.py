"""The simulated SalesPro: an Athena that runs the query, and the S3 that its result lies in, on one port.

Written from the vendor notes. Athena is POST / with `X-Amz-Target: AmazonAthena.<Operation>` (JSON 1.1); a request to
it is counted, logged and spoilt under the path `/<Operation>`. S3 is GET and HEAD, path-style, with ranges. The query
is run when it is started; what a client sees of its states are `states`, one at each poll, then the end.

A request is taken by its access key; whether its signature is right is not looked at. What the notes could not confirm
is a setting or an operation: whether the time columns are times or texts (`retype`), which columns there are, whether a
customer has a row for each estimate.
"""

from __future__ import annotations

import itertools
import re
import threading
import time
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from warehouse_pipelines.simulators.core.faults import Fault
from warehouse_pipelines.simulators.core.population import Town
from warehouse_pipelines.simulators.core.vendor import Vendor, operation
from warehouse_pipelines.simulators.core.wire import Answer, Request, answer_json
from warehouse_pipelines.simulators.salespro.engine import Engine, MalformedQuery, QueryFailed, canonical
from warehouse_pipelines.simulators.salespro.records import COLUMNS, KEYS, Records, Row, moment

TARGET = "AmazonAthena."
CREDENTIAL = re.compile(r"Credential=([^/,\s]+)/")
LOCATION = re.compile(r"s3://([a-z0-9.-]{3,63})(?:/(.*))?")
LARGEST_QUERY = 262_144
MANAGED = "results-that-athena-keeps"
PAGE = 1000


@dataclass
class SalesProSettings:
    access_key: str = "AKIASIMULATED0000000"
    token: str = "simulated-secret-access-key"  # noqa: S105  (nobody's key)
    region: str = "us-east-1"
    contacts: int = 1000  # fixed at start: estimates are half of them
    now: float | None = None  # fixed at start: seconds since 1970
    database: str = "salespro"
    workgroup: str = "primary"
    bucket: str = "simulated-athena-results"
    enforced_output: str | None = None  # the workgroup's own, which then replaces the client's
    managed_results: bool = False  # the workgroup keeps results itself, and refuses a place of the client's
    states: list[str] = field(default_factory=list)  # what the polls see before the end, such as QUEUED, RUNNING
    bytes_cutoff: int | None = None  # the workgroup's limit for one query
    metadata: str = "allowed"  # allowed | denied: whether the policy has athena:GetTableMetadata


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


class SalesPro(Vendor):
    settings_type = SalesProSettings
    settings: SalesProSettings

    def __init__(self, town: Town, settings: SalesProSettings) -> None:
        super().__init__(town, settings)
        started = time.time()
        self._ahead = (settings.now or started) - started
        self.records = Records(town, settings.contacts, self.now_ms())
        self.engine = Engine(settings.database, COLUMNS, self.records.rows)
        self.queries: dict[str, Query] = {}
        self._tokens: dict[str, tuple[str, str]] = {}
        self.objects: dict[str, bytes] = {}
        self._failures: list[dict[str, Any]] = []
        self._taken_away: dict[tuple[str, str], list[tuple[Any, ...]]] = {}
        self._asked = threading.local()
        self._new = itertools.count(1)

    def now_ms(self) -> int:
        return int((time.time() + self._ahead) * 1000)

    def environment(self) -> dict[str, str]:
        settings = self.settings
        return {
            "SALESPRO_ATHENA_DATABASE": settings.database,
            "SALESPRO_ATHENA_OUTPUT": "" if settings.managed_results else f"s3://{settings.bucket}/warehouse/",
            "SALESPRO_ATHENA_WORKGROUP": settings.workgroup,
            "AWS_ACCESS_KEY_ID": settings.access_key,
            "AWS_SECRET_ACCESS_KEY": settings.token,
            "AWS_DEFAULT_REGION": settings.region,
            "AWS_ENDPOINT_URL": self.url,
        }

    def respond(self, request: Request) -> Answer:
        target = request.headers.get("x-amz-target", "")
        if target:
            request.path = f"/{target.removeprefix(TARGET)}"
        self._asked.athena = bool(target)
        return super().respond(request)

    def route_of(self, request: Request) -> str:
        return request.path if self._asked.athena else "/{bucket}/{key}"

    def rate_limited(self, policy: str) -> Answer:
        if not self._asked.athena:
            return _s3_error(503, "SlowDown", "Please reduce your request rate.")
        if policy == "TooManyRequestsException":
            return _error(policy, "Query limit exceeded", Reason="CONCURRENT_QUERY_LIMIT_EXCEEDED")
        return _error("ThrottlingException", "Rate exceeded")

    def refused(self) -> Answer:
        """A credential that has run out."""
        if not self._asked.athena:
            return _s3_error(400, "ExpiredToken", "The provided token has expired.")
        return _error("ExpiredTokenException", "The security token included in the request is expired")

    def answer(self, request: Request) -> Answer:
        match = CREDENTIAL.search(request.headers.get("authorization", ""))
        if match is None or match[1] != self.settings.access_key:
            if self._asked.athena:
                return _error("UnrecognizedClientException", "The security token included in the request is invalid.")
            return _s3_error(403, "InvalidAccessKeyId", "The AWS Access Key Id you provided does not exist.")
        answer = self._athena(request) if self._asked.athena else self._s3(request)
        answer.route = self.route_of(request)
        return answer

    def _athena(self, request: Request) -> Answer:
        operations = {
            "/StartQueryExecution": self._start,
            "/GetQueryExecution": self._execution,
            "/StopQueryExecution": self._stop,
            "/GetQueryResults": self._results,
            "/GetTableMetadata": self._table_metadata,
            "/GetWorkGroup": self._work_group,
        }
        if request.path not in operations:
            return _error("UnknownOperationException", request.path)
        return operations[request.path](request.json())

    def _start(self, asked: dict[str, Any]) -> Answer:
        text, token = asked.get("QueryString") or "", asked.get("ClientRequestToken")
        if not 1 <= len(text.encode()) <= LARGEST_QUERY:
            return _invalid("QueryString is empty or longer than 262144 bytes")
        if token is not None and not 32 <= len(token) <= 128:
            return _invalid("ClientRequestToken must have a length of 32 to 128")
        if asked.get("WorkGroup", "primary") != self.settings.workgroup:
            return _invalid(f"WorkGroup {asked['WorkGroup']} is not found.")
        if token in self._tokens:
            known, same = self._tokens[token]
            if same != _told(asked):
                return _invalid("Idempotent parameters do not match")
            return answer_json(200, {"QueryExecutionId": known})
        client = (asked.get("ResultConfiguration") or {}).get("OutputLocation") or ""
        if self.settings.managed_results:
            if client:
                return _invalid("ManagedQueryResultsConfiguration and ResultConfiguration cannot be set together.")
            location = f"s3://{MANAGED}"
        else:
            location = self.settings.enforced_output or client
        if not location:
            return _invalid(
                "No output location provided. An output location is required either through the Workgroup result "
                "configuration setting or as an API input."
            )
        match = LOCATION.fullmatch(location)
        if match is None or match[1] not in (self.settings.bucket, MANAGED):
            return _invalid(f"Unable to verify/create output bucket {match[1] if match else location}")
        number = str(uuid.UUID(int=(self.town.seed << 64) + next(self._new), version=4))
        folder = (match[2] or "").strip("/")
        key = f"{folder}/{number}.csv" if folder else f"{number}.csv"
        query = Query(number, text, f"s3://{match[1]}/{key}", token, time.time())
        query.states = list(self.settings.states)
        try:
            self._run(query, asked, f"/{match[1]}/{key}")
        except MalformedQuery as error:
            return _error("InvalidRequestException", str(error), AthenaErrorCode="MALFORMED_QUERY")
        self.queries[number] = query
        if token is not None:
            self._tokens[token] = (number, _told(asked))
        return answer_json(200, {"QueryExecutionId": number})

    def _run(self, query: Query, asked: dict[str, Any], path: str) -> None:
        if self._failures:
            failure = self._failures.pop(0)
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
            return _invalid(f"QueryExecution {asked.get('QueryExecutionId')} was not found")
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
            return _invalid(f"QueryExecution {asked.get('QueryExecutionId')} was not found")
        if query.state not in ("SUCCEEDED", "FAILED", "CANCELLED"):
            query.state = query.end = "CANCELLED"
            query.reason, query.states = "Query cancelled by user", []
        return answer_json(200, {})

    def _results(self, asked: dict[str, Any]) -> Answer:
        """At most a thousand rows, of which the first of the first page is the header."""
        query = self._known(asked)
        if query is None:
            return _invalid(f"QueryExecution {asked.get('QueryExecutionId')} was not found")
        if query.state != "SUCCEEDED":
            return _invalid(f"Query has not yet finished. Current state: {query.state}")
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
            return _error("AccessDeniedException", "User is not authorized to perform: athena:GetTableMetadata")
        if asked.get("DatabaseName") != self.settings.database:
            return _error("MetadataException", "EntityNotFoundException: Database not found.")
        table = asked.get("TableName", "")
        if table not in self.engine.columns:
            return _error("MetadataException", f"EntityNotFoundException: Table {table} not found.")
        columns = [{"Name": name, "Type": type_} for name, type_ in self.engine.columns[table].items()]
        return answer_json(200, {"TableMetadata": {"Name": table, "TableType": "EXTERNAL_TABLE", "Columns": columns}})

    def _work_group(self, asked: dict[str, Any]) -> Answer:
        if asked.get("WorkGroup") != self.settings.workgroup:
            return _invalid(f"WorkGroup {asked.get('WorkGroup')} is not found.")
        enforced = self.settings.enforced_output
        configuration: dict[str, Any] = {"EnforceWorkGroupConfiguration": bool(enforced)}
        if self.settings.managed_results:
            configuration["ManagedQueryResultsConfiguration"] = {"Enabled": True}
        if enforced:
            configuration["ResultConfiguration"] = {"OutputLocation": enforced}
        return answer_json(200, {"WorkGroup": {"Name": self.settings.workgroup, "Configuration": configuration}})

    def _s3(self, request: Request) -> Answer:
        if request.method not in ("GET", "HEAD"):
            return _s3_error(405, "MethodNotAllowed", "The specified method is not allowed against this resource.")
        if request.path.split("/")[1] != self.settings.bucket:
            return _s3_error(404, "NoSuchBucket", "The specified bucket does not exist")
        body = self.objects.get(request.path)
        if body is None:
            return _s3_error(404, "NoSuchKey", "The specified key does not exist.")
        etag = f'"{len(body):032x}"'
        if request.headers.get("if-match", etag) != etag:
            return _s3_error(412, "PreconditionFailed", "At least one of the pre-conditions you specified did not hold")
        headers = {"ETag": etag, "Accept-Ranges": "bytes"}
        status = 200
        match = re.fullmatch(r"bytes=(\d+)-(\d*)", request.headers.get("range", ""))
        if match is not None:
            first, last = int(match[1]), int(match[2] or len(body) - 1)
            if first >= len(body):
                return _s3_error(416, "InvalidRange", "The requested range is not satisfiable")
            headers["Content-Range"] = f"bytes {first}-{min(last, len(body) - 1)}/{len(body)}"
            body, status = body[first : last + 1], 206
        if request.method == "HEAD":
            return Answer(
                200, b"", {**headers, "Content-Length": str(len(body))}, content_type="application/octet-stream"
            )
        return Answer(status, body, headers, content_type="application/octet-stream", list_key="rows")

    # Operations from behind the scenes

    def _key(self, table: str) -> str:
        if table not in KEYS:
            raise ValueError(f"no table {table!r}; there are {', '.join(KEYS)}")
        self.engine.need(table)
        return KEYS[table]

    def _change(self, table: str, key: str, fields: dict[str, Any]) -> None:
        name = self._key(table)
        if unknown := fields.keys() - self.engine.columns[table].keys():
            raise ValueError(f"{table} has no column {', '.join(sorted(unknown))}")
        settings = ", ".join(f'"{column}" = ?' for column in fields)
        done = self.engine.db.execute(
            f'UPDATE "{table}" SET {settings} WHERE "{name}" = ?',
            [*map(_held, fields.values()), key],
        )
        if not done.rowcount:
            raise ValueError(f"nothing with the key {key} in {table}")

    @operation
    def insert(self, table: str, **fields: Any) -> str:
        """A row as it is given; what is not given is NULL. Times are written as Athena prints them."""
        name = self._key(table)
        if unknown := fields.keys() - self.engine.columns[table].keys():
            raise ValueError(f"{table} has no column {', '.join(sorted(unknown))}")
        columns = ", ".join(f'"{column}"' for column in fields)
        self.engine.db.execute(
            f'INSERT INTO "{table}" ({columns}) VALUES ({", ".join("?" * len(fields))})',
            [*map(_held, fields.values())],
        )
        return str(fields.get(name))

    @operation
    def create(self, table: str, **fields: Any) -> str:
        """A new row like the first one, with a key of its own, made and changed now."""
        name = self._key(table)
        like: Row = dict(next(iter(self.records.rows(table))))
        now = moment(self.now_ms())
        times: Row = {column: now for column in ("created_at", "updated_at") if column in self.engine.columns[table]}
        own = f"{table[:3]}new{next(self._serial):08d}"
        row: Row = {**like, name: own, **times, **fields}
        if table == "customer" and "estimate_id" not in fields:
            row["estimate_id"] = f"for-{own}"
        if table == "lead_results" and "lead_results" not in fields:
            row = self.records.lead_result(own, row["created_at"], [("Notes", "new"), ("Job Type 1", "-Roofing")])
        known = self.engine.columns[table]
        return self.insert(table, **{column: value for column, value in row.items() if column in known})

    @operation
    def edit(self, table: str, key: str, **fields: Any) -> None:
        """Change a row, of a customer all of them; its `updated_at` moves where there is one."""
        if "updated_at" in self.engine.columns[table] and "updated_at" not in fields:
            fields["updated_at"] = moment(self.now_ms())
        self._change(table, key, fields)

    @operation
    def edit_silently(self, table: str, key: str, **fields: Any) -> None:
        """Change a row without a trace."""
        self._change(table, key, fields)

    @operation
    def answers(self, estimate_id: str, **answers: str) -> None:
        """Replace the answers of a lead result; nothing tells when."""
        row = self.records.lead_result(estimate_id, "", list(answers.items()))
        self._change("lead_results", estimate_id, {"lead_results": row["lead_results"]})

    @operation
    def delete(self, table: str, key: str) -> None:
        """Rows that the next snapshot does not hold."""
        name = self._key(table)
        rows = self.engine.db.execute(f'SELECT * FROM "{table}" WHERE "{name}" = ?', [key]).fetchall()
        if not rows:
            raise ValueError(f"nothing with the key {key} in {table}")
        self._taken_away[table, key] = rows
        self.engine.db.execute(f'DELETE FROM "{table}" WHERE "{name}" = ?', [key])

    @operation
    def restore(self, table: str, key: str) -> None:
        rows = self._taken_away.pop((table, key))
        places = ", ".join("?" * len(rows[0]))
        self.engine.db.executemany(f'INSERT INTO "{table}" VALUES ({places})', rows)

    @operation
    def empty(self, table: str) -> None:
        self._key(table)
        self.engine.db.execute(f'DELETE FROM "{table}"')

    @operation
    def retype(self, table: str, **types: str | None) -> None:
        """Declare columns of a table otherwise, add them, or with None take them away."""
        known: dict[str, str | None] = dict(self.engine.columns[table])
        known.update(types)
        known.update(types)
        self.engine.recreate(table, {name: type_ for name, type_ in known.items() if type_ is not None})

    @operation
    def drop(self, table: str) -> None:
        self.engine.drop(table)

    @operation
    def deny(self, table: str) -> None:
        """The account sees the table in the catalogue, and may not read it."""
        self.engine.denied.add(table)

    @operation
    def fail_next(
        self,
        reason: str,
        category: int = 2,
        retryable: bool = False,
        error_type: int = 1006,
        state: str = "FAILED",
        times: int = 1,
    ) -> None:
        """The next queries end so."""
        error = {"ErrorCategory": category, "ErrorType": error_type, "Retryable": retryable, "ErrorMessage": reason}
        failure = {"state": state, "reason": reason, "error": error if state == "FAILED" else None}
        self._failures += [failure] * times

    @operation
    def ids(self, table: str) -> list[str]:
        """The keys of a table, the oldest first."""
        name = self._key(table)
        rows = self.engine.db.execute(f'SELECT "{name}" FROM "{table}" GROUP BY 1 ORDER BY max(created_at), 1')
        return [row[0] for row in rows]

    @operation
    def rows(self, table: str, key: str) -> list[Row]:
        """The rows of a key."""
        name = self._key(table)
        found = self.engine.db.execute(f'SELECT * FROM "{table}" WHERE "{name}" = ?', [key])
        names = [column[0] for column in found.description]
        return [dict(zip(names, row, strict=True)) for row in found]

    @operation
    def counts(self) -> dict[str, int]:
        """The truth: how many keys each table has."""
        return {table: len(self.ids(table)) for table in self.engine.columns}

    @operation
    def executions(self) -> list[dict[str, Any]]:
        """Every query so far, and how it stands."""
        return [{"id": query.id, "query": query.text, "state": query.state} for query in self.queries.values()]

    # Faults

    def spoilt(self, fault: Fault, request: Request, answer: Answer) -> Answer:
        header, *rows = parsed(answer.body)
        match fault.kind:
            case "missing_list":
                return replace(answer, body=b"")
            case "malformed" if rows:
                for place in range(min(fault["records"], len(rows))):
                    _spoil(fault, header, rows[place])
            case "repeat_page":
                rows += rows
        return replace(answer, body=csv([str(name) for name in header], rows))


def _spoil(fault: Fault, header: list[Any], row: list[Any]) -> None:
    """A cell of a row; the column is the fault's `property`, else the first one."""
    what = fault["what"]
    if what == "non_object":
        del row[len(row) // 2 :]
        return
    place = header.index(fault["property"]) if fault["property"] else 0
    values = {"bad_date": "not a date", "out_of_range": "9" * 400, "bad_number": "twelve", "nul": "before\0after"}
    row[place] = values.get(what)


def csv(header: Iterable[str], rows: Iterable[Iterable[Any]]) -> bytes:
    """A result as Athena writes it: every field in quotation marks, doubled within; NULL is nothing at all."""
    lines = [",".join('"' + name.replace('"', '""') + '"' for name in header)]
    for row in rows:
        lines.append(",".join(["" if v is None else '"' + str(v).replace('"', '""') + '"' for v in row]))
    lines.append("")
    return "\n".join(lines).encode()


def parsed(body: bytes) -> list[list[str | None]]:
    """The header and the rows of a result."""
    rows: list[list[str | None]] = [[]]
    for match in re.finditer(r'(?:"((?:[^"]|"")*)")?([,\n])', body.decode()):
        value = match[1]
        rows[-1].append(None if value is None else value.replace('""', '"'))
        if match[2] == "\n":
            rows.append([])
    return rows[:-1]


def _held(value: Any) -> Any:
    """A value as the tables hold it."""
    if isinstance(value, bool):
        return str(value).lower()
    return canonical(value) or value if isinstance(value, str) and re.match(r"\d{4}-\d\d-\d\d ", value) else value


def _told(asked: dict[str, Any]) -> str:
    return repr(sorted((name, repr(value)) for name, value in asked.items()))


def _error(kind: str, message: str, **more: Any) -> Answer:
    return answer_json(400, {"__type": kind, "message": message, **more}, content_type="application/x-amz-json-1.1")


def _invalid(message: str) -> Answer:
    return _error("InvalidRequestException", message, AthenaErrorCode="INVALID_INPUT")


def _s3_error(status: int, code: str, message: str) -> Answer:
    body = f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{code}</Code><Message>{message}</Message></Error>'
    return Answer(status, body.encode(), content_type="application/xml")

"""Queries of Athena: start one, wait for its end, read its result.

A query is stopped when the run is cancelled or fails while waiting for it. Result reuse is never asked for, so no
result of an earlier run is read. The reason of a failed query is logged only if it cannot contain a value of a row.
"""

import contextlib
import logging
import re
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from warehouse_pipelines.errors import (
    NotConfigured,
    PermissionMissing,
    RequestRefused,
    VendorUnavailable,
    masked,
)
from warehouse_pipelines.model.reading import ReadContext
from warehouse_pipelines.sources._http import backoff, first_backoff
from warehouse_pipelines.sources.salespro.athena_result import Oversize, ResultFile, csv_batches, managed_batches
from warehouse_pipelines.sources.salespro.aws import NOTHING, Account, AwsRequests

if TYPE_CHECKING:
    import pyarrow as pa

log = logging.getLogger("warehouse.ingestion")

LONGEST_QUERY = 3_600.0
"""Seconds. Athena ends a query after 30 minutes unless the account allows more, but may queue it for long."""

RUNS = 3
"""Starts of a query that fails for a reason that may pass."""

FIRST_POLL, LONGEST_POLL = 0.25, 5.0

PASSING = re.compile(r"exhausted resources|slow ?down|reduce your request rate|throttl|internal error", re.IGNORECASE)
FORBIDDEN = re.compile(
    r"access ?denied|not authorized|insufficient (permission|lake formation)|forbidden", re.IGNORECASE
)
HARMLESS = re.compile(r"(SYNTAX_ERROR|TYPE_MISMATCH|[A-Z]+_NOT_FOUND|INVALID_PARAMETER_USAGE)\b")
"""Reasons that name words of the query and tables, and no value of a row."""


class Athena:
    """One database, for one read."""

    def __init__(
        self,
        context: ReadContext,
        *,
        title: str,
        account: Account,
        catalog: str,
        database: str,
        workgroup: str,
        output: str,
    ) -> None:
        self.context = context
        self.title = title
        self.catalog, self.database, self.workgroup, self.output = catalog, database, workgroup, output
        self.oversize: Oversize = []
        self._aws = AwsRequests(context, title=title, account=account)

    def types(self, table: str) -> dict[str, str]:
        """Return the type of each column of a table, in lower case: as Hive or as Trino spells it.

        The catalogue answers in one request, for free. If the policy forbids it, ``information_schema`` is queried,
        which every policy allows that allows a query; that takes a second or two and scans nothing.

        Raises ``RequestRefused`` for a table without columns.
        """
        named = {"CatalogName": self.catalog, "DatabaseName": self.database, "TableName": table}
        try:
            found = self._aws.call(self._aws.athena.get_table_metadata, "TableMetadata", **named)
            listed = [*found.get("Columns", ()), *found.get("PartitionKeys", ())]
            types = {column["Name"]: column.get("Type", "").lower() for column in listed}
        except PermissionMissing:
            sql = (
                "SELECT column_name, data_type FROM information_schema.columns "
                "WHERE table_schema = ? AND table_name = ?"
            )
            types = {}
            for batch in self.rows(sql, ("column_name", "data_type"), [quoted(self.database), quoted(table)]):
                types |= dict(zip(*(column.to_pylist() for column in batch.columns), strict=True))
        if not types:
            raise RequestRefused(
                f"{self.title}: the database {self.database!r} has no table {table!r} with columns that can be seen. "
                "Ask the vendor whether it is shared, and under which name; nothing was loaded."
            )
        return types

    def rows(self, sql: str, names: Sequence[str], parameters: Sequence[str] = ()) -> Iterator["pa.RecordBatch"]:
        """Run a query and yield its result as texts, NULL as null; ``names`` are the columns it must have.

        ``parameters`` are the literals (``quoted``) for the ``?`` of the query.
        """
        number, location = self._run(sql, parameters)
        if not location:
            yield from managed_batches(self._aws, number, names, self.oversize)
            return
        bucket, _, key = location.removeprefix("s3://").partition("/")
        with contextlib.closing(ResultFile(self._aws, bucket, key)) as file:
            yield from csv_batches(file, names, self.oversize)

    def _start(self, sql: str, parameters: Sequence[str]) -> str:
        """Start a query and return its number."""
        how: dict[str, Any] = {"ExecutionParameters": list(parameters)} if parameters else {}
        if self.output:
            how["ResultConfiguration"] = {"OutputLocation": self.output}
        try:
            return str(
                self._aws.call(
                    self._aws.athena.start_query_execution,
                    "QueryExecutionId",
                    QueryString=sql,
                    QueryExecutionContext={"Database": self.database, "Catalog": self.catalog},
                    WorkGroup=self.workgroup,
                    # A repeated start with the same token is the same query.
                    ClientRequestToken=str(uuid.uuid4()),
                    **how,
                )
            )
        except RequestRefused as error:
            if self.output and "ManagedQueryResultsConfiguration" in str(error):
                log.warning("%s: the workgroup %r keeps its results itself, so the output location in the settings is "
                            "left out; unset it", self.title, self.workgroup)  # fmt: skip
                self.output = ""
                return self._start(sql, parameters)
            if not self.output and "output location" in str(error).lower():
                raise NotConfigured(
                    f"{self.title}: the workgroup {self.workgroup!r} has no place for results of its own; set the "
                    "output location (SALESPRO_ATHENA_OUTPUT), or have managed query results switched on for it."
                ) from error
            raise

    def _run(self, sql: str, parameters: Sequence[str]) -> tuple[str, str]:
        """Run a query to its end; return its number and the place of its result, empty if Athena keeps it itself."""
        reason = ""
        for attempt in range(1, RUNS + 1):
            number = self._start(sql, parameters)
            try:
                execution = self._finished(number)
            except BaseException:
                with contextlib.suppress(Exception):
                    self._aws.athena.stop_query_execution(QueryExecutionId=number)
                raise
            scanned = execution.get("Statistics", {}).get("DataScannedInBytes", 0)
            self.context.measure("athena_bytes_scanned", scanned)
            if execution["Status"]["State"] == "SUCCEEDED":
                return number, str(execution.get("ResultConfiguration", {}).get("OutputLocation") or "")
            reason = self._judge(execution["Status"])
            if attempt < RUNS:
                log.warning("%s: a query failed (%s), run %d of %d", self.title, reason, attempt, RUNS)
                self.context.pause(self.title, backoff(attempt))
        raise VendorUnavailable(f"{self.title}: a query did not succeed in {RUNS} runs (last: {reason}); {NOTHING}")

    def _finished(self, number: str) -> Mapping[str, Any]:
        """Wait for the end of a query and return its execution. A running query may be queued again."""
        until = time.monotonic() + LONGEST_QUERY
        wait = FIRST_POLL
        while True:
            execution: Mapping[str, Any] = self._aws.call(
                self._aws.athena.get_query_execution, "QueryExecution", QueryExecutionId=number
            )
            if execution["Status"]["State"] not in ("QUEUED", "RUNNING"):
                return execution
            if time.monotonic() > until:
                raise VendorUnavailable(
                    f"{self.title}: a query was {execution['Status']['State']} for {LONGEST_QUERY:,.0f} s and was "
                    f"stopped; {NOTHING}"
                )
            self.context.pause(self.title, wait * first_backoff())
            wait = min(LONGEST_POLL, wait * 1.5)

    def _judge(self, status: Mapping[str, Any]) -> str:
        """Raise for a failure that is final; return the reason of one that may pass."""
        error = status.get("AthenaError", {})
        reason = str(status.get("StateChangeReason") or error.get("ErrorMessage") or "no reason given")
        shown = masked(reason, 200) if HARMLESS.match(reason) else reason.partition(":")[0][:60]
        if status["State"] == "CANCELLED":
            if re.search(r"bytes scanned|limit", reason, re.IGNORECASE):
                raise RequestRefused(
                    f"{self.title}: the workgroup {self.workgroup!r} cancelled a query that scanned more than it "
                    "allows. Raise its limit for one query, or choose another workgroup; nothing was loaded."
                )
            raise VendorUnavailable(f"{self.title}: a query was cancelled over there; {NOTHING}")
        if FORBIDDEN.search(reason):
            raise PermissionMissing(
                f"{self.title}: a query failed for want of a permission ({masked(reason, 200)}). It needs Athena, Glue "
                "(GetDatabase, GetTable, GetPartitions) and S3 for the data and the output; grant that, then run again."
            )
        if error.get("Retryable") or error.get("ErrorCategory") == 1 or PASSING.search(reason):
            return shown
        raise RequestRefused(
            f"{self.title}: a query failed: {shown}. Either its tables have changed or the source has a fault; "
            "nothing was loaded."
        )


def quoted(text: str) -> str:
    """Return a text as the literal for a ``?``."""
    return "'" + text.replace("'", "''") + "'"

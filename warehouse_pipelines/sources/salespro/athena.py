"""Athena: a query is started, waited for, and its result read as a stream out of S3.

boto3 speaks, once for each request; retries, waits and errors are those of ``_http``, so that a wait ends with its run.
The result is the CSV that Athena writes beside every query, and not GetQueryResults with its thousand rows a page. In
it a text is in quotation marks and NULL is nothing at all, which tells NULL from the empty text; Arrow reads that, and
Python's own reader does not. A connection that breaks is taken up at the byte where it broke. S3 says how long an
object is, and Athena ends each row with a line break: a result that is short of either is no result. Arrow is given
rows that are complete, so a row may be as long as ``LARGEST_ROW``; of a longer one the first cells are kept
(``oversize``), and the rest of it is read past.

A workgroup with managed query results keeps them itself, refuses an output location, and names none: then, and only
then, GetQueryResults is asked, page by page.

Nothing is taken from an earlier run's result (result reuse is never asked for). A query is stopped when the run is
cancelled or fails while it is waited for. What a failed query says of a value is not repeated, since it may be
anybody's.
"""

import contextlib
import functools
import logging
import re
import sys
import threading
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from warehouse_pipelines.errors import (
    AnswerChanged,
    CredentialRefused,
    CursorStuck,
    NotConfigured,
    PermissionMissing,
    RequestRefused,
    VendorUnavailable,
    masked,
)
from warehouse_pipelines.model.reading import Extraction
from warehouse_pipelines.sources._http import ATTEMPTS, LONGEST_WAIT, backoff, first_backoff, pause, retry_after

if TYPE_CHECKING:
    import pyarrow as pa

log = logging.getLogger("warehouse.ingestion")

LONGEST_QUERY = 3_600.0
"""Seconds; Athena itself ends a query that runs for 30 minutes, unless the account has more, but may queue it long."""

RUNS = 3
"""How often a query is started that fails for no fault of its own."""

FIRST_POLL, LONGEST_POLL = 0.25, 5.0

BLOCK = 2**20
"""Bytes of the result that are parsed at a time, in one thread, which reads no further ahead; more for a longer row."""

LARGEST_ROW = 64 * 2**20
"""Bytes of one row of a result, give or take a ``BLOCK``."""

ROWS_A_PAGE = 1_000
"""The most that GetQueryResults gives."""

CELL = re.compile(rb'(?:"((?:[^"]|"")*)"|([^",\n]*)),')

NOTHING = "nothing was loaded, the next run starts at the same place"

PIECE = 2**14
"""Bytes that are taken from a connection at a time, which are as many as may be lost when it breaks."""

TOO_MANY = {"Throttling", "ThrottlingException", "TooManyRequestsException", "RequestLimitExceeded", "SlowDown"}
WRONG_CREDENTIAL = {
    "ExpiredToken", "ExpiredTokenException", "IncompleteSignature", "InvalidAccessKeyId", "InvalidClientTokenId",
    "InvalidSignatureException", "InvalidToken", "MissingAuthenticationToken", "SignatureDoesNotMatch",
    "UnrecognizedClientException",
}  # fmt: skip
NO_PERMISSION = {"AccessDenied", "AccessDeniedException", "AllAccessDisabled"}
PASSING = re.compile(r"exhausted resources|slow ?down|reduce your request rate|throttl|internal error", re.IGNORECASE)
FORBIDDEN = re.compile(
    r"access ?denied|not authorized|insufficient (permission|lake formation)|forbidden", re.IGNORECASE
)
HARMLESS = re.compile(r"(SYNTAX_ERROR|TYPE_MISMATCH|[A-Z]+_NOT_FOUND|INVALID_PARAMETER_USAGE)\b")
"""Reasons that name our own words and the vendor's tables, and no value of a row."""


_making = threading.Lock()
"""A session makes one client at a time."""


class Account(NamedTuple):
    """How AWS is reached; None leaves it to the standard chain (profile, container, instance)."""

    region: str | None = None
    endpoint: str | None = None
    profile: str | None = None
    access_key: str | None = None
    secret: str | None = None
    token: str | None = None

    def __repr__(self) -> str:
        return f"Account({self.region}, {self.endpoint})"


@functools.lru_cache(maxsize=8)
def _session(account: Account) -> Any:
    """Return the session, which holds what it has read of the services: a third of a second."""
    import boto3

    for name in ("boto3", "botocore", "urllib3"):
        logging.getLogger(name).setLevel(logging.INFO)  # at DEBUG they log what is signed, tokens included
    return boto3.session.Session(
        aws_access_key_id=account.access_key,
        aws_secret_access_key=account.secret,
        aws_session_token=account.token,
        profile_name=account.profile,
        region_name=account.region,
    )


@functools.lru_cache(maxsize=8)
def _clients(account: Account) -> tuple[Any, Any]:
    """Return the clients of Athena and of S3, which keep their connections."""
    from botocore.config import Config

    session = _session(account._replace(endpoint=None))
    config = Config(
        connect_timeout=10,
        read_timeout=60,
        max_pool_connections=20,
        retries={"total_max_attempts": 1},
        region_name=session.region_name or "us-east-1",
        user_agent_extra="warehouse-pipelines",
    )
    athena, s3 = (session.client(name, endpoint_url=account.endpoint, config=config) for name in ("athena", "s3"))
    return athena, s3


class Athena:
    """One database, for one extraction."""

    def __init__(
        self,
        extraction: Extraction,
        *,
        title: str,
        account: Account,
        catalog: str,
        database: str,
        workgroup: str,
        output: str,
    ) -> None:
        self.extraction = extraction
        self.title = title
        self.catalog, self.database, self.workgroup, self.output = catalog, database, workgroup, output
        self.oversize: list[dict[str, str | None]] = []
        """Of each row that was too long to be read, the cells that it begins with, by column."""
        from botocore.exceptions import BotoCoreError

        try:
            with _making:
                self._athena, self._s3 = _clients(account)
        except (BotoCoreError, ValueError) as error:
            raise NotConfigured(f"{title}: the AWS settings cannot be used: {masked(str(error))}") from error

    def types(self, table: str) -> dict[str, str]:
        """Return the type of each column of a table, in lower case: as Hive or as Trino spells it.

        The catalogue is asked, which is one request and free. A policy may not allow that; every policy under which a
        query runs allows ``information_schema``, which is a query of a second or two that scans nothing.
        """
        named = {"CatalogName": self.catalog, "DatabaseName": self.database, "TableName": table}
        try:
            found = self.call(self._athena.get_table_metadata, "TableMetadata", **named)
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

        ``parameters`` stand for the ``?`` of the query, as literals (``quoted``).
        """
        number, location = self._run(sql, parameters)
        if not location:
            yield from self._pages(number, names)
            return
        bucket, _, key = location.removeprefix("s3://").partition("/")
        stream = _Result(self, bucket, key)
        try:
            yield from self._parsed(stream, names)
        finally:
            stream.close()

    def _parsed(self, stream: "_Result", names: Sequence[str]) -> Iterator["pa.RecordBatch"]:
        """Yield the rows of a CSV."""
        import pyarrow as pa
        from pyarrow import csv

        header = b"".join(b'"%b",' % name.replace('"', '""').encode() for name in names)[:-1] + b"\n"
        first = True
        for rows in self._complete(stream, names):
            if first and not rows.startswith(header):
                raise AnswerChanged(
                    f"{self.title}: a result has other columns than were asked for; nothing was loaded."
                )
            block = memoryview(rows)[len(header) :] if first else memoryview(rows)
            first = False
            if not block:
                continue
            try:
                table = csv.read_csv(
                    pa.BufferReader(pa.py_buffer(block)),
                    read_options=csv.ReadOptions(column_names=names, block_size=len(block) + 1, use_threads=False),
                    parse_options=csv.ParseOptions(newlines_in_values=True, ignore_empty_lines=False),
                    convert_options=csv.ConvertOptions(
                        column_types=dict.fromkeys(names, pa.string()),
                        null_values=[""],
                        strings_can_be_null=True,
                        quoted_strings_can_be_null=False,
                    ),
                )
            except pa.ArrowInvalid:
                # Its message quotes the row, which is somebody's.
                raise AnswerChanged(
                    f"{self.title}: a result is not the CSV that Athena writes (a row with too many or too few "
                    "fields); nothing was loaded."
                ) from None
            yield from table.to_batches()
        if first:
            raise AnswerChanged(f"{self.title}: a result has not even a header; nothing was loaded.")

    def _complete(self, stream: "_Result", names: Sequence[str]) -> Iterator[bytes]:
        """Yield the bytes of complete rows, about ``BLOCK`` at a time; rows over ``LARGEST_ROW`` are left out."""
        kept = bytearray()
        inside = passing = False  # within quotation marks; within a row that is left out
        while piece := stream.read(BLOCK):
            if passing:
                end, inside = _first_end(piece, inside)
                if end < 0:
                    continue
                piece, passing = piece[end:], False
            end, after = _last_end(piece, inside)
            if end >= 0:
                kept += piece[:end]
                yield bytes(kept)
                kept = bytearray(piece[end:])
            else:
                kept += piece
            inside = after
            if len(kept) > LARGEST_ROW:
                self.oversize.append(_leading_cells(bytes(kept[: 2**16]), names))
                kept, passing = bytearray(), True
        if kept:
            yield bytes(kept)

    def _pages(self, number: str, names: Sequence[str]) -> Iterator["pa.RecordBatch"]:
        """Yield the rows of a result that Athena keeps itself. The first row of the first page is the header."""
        import pyarrow as pa

        further: dict[str, Any] = {}
        seen: set[str] = set()
        while True:
            answer = self.call(
                self._athena.get_query_results, None, QueryExecutionId=number, MaxResults=ROWS_A_PAGE, **further
            )
            try:
                rows = [
                    [cell.get("VarCharValue") for cell in row.get("Data", ())] for row in answer["ResultSet"]["Rows"]
                ]
            except (KeyError, TypeError, AttributeError):
                raise AnswerChanged(
                    f"{self.title}: GetQueryResults answered with no rows; nothing was loaded."
                ) from None
            if not further:
                if not rows or rows[0] != list(names):
                    raise AnswerChanged(
                        f"{self.title}: a result has other columns than were asked for; nothing was loaded."
                    )
                del rows[0]
            if any(len(row) != len(names) for row in rows):
                raise AnswerChanged(f"{self.title}: a result has rows of another length; nothing was loaded.")
            fitting = [row for row in rows if sum(len(cell or "") for cell in row) <= LARGEST_ROW]
            self.oversize += [
                {name: cell for name, cell in zip(names, row, strict=True) if len(cell or "") < 1000}
                for row in rows
                if sum(len(cell or "") for cell in row) > LARGEST_ROW
            ]
            if fitting:
                cells = [pa.array(column, pa.string()) for column in zip(*fitting, strict=True)]
                yield pa.RecordBatch.from_arrays(cells, names=list(names))
            token = answer.get("NextToken")
            if not token:
                return
            if token in seen:
                raise CursorStuck(f"{self.title}: GetQueryResults gives the same page again; nothing was loaded.")
            seen.add(token)
            further = {"NextToken": token}

    def call(self, method: Any, wanted: str | None, **parameters: Any) -> Any:
        """Make a request and return the ``wanted`` member of its answer.

        Raises ``VendorUnavailable`` when all attempts failed, ``CredentialRefused``, ``PermissionMissing`` or
        ``RequestRefused`` for an answer that a repetition would not change, ``AnswerChanged`` for one without
        ``wanted``.
        """
        from botocore.exceptions import (
            BotoCoreError,
            ClientError,
            CredentialRetrievalError,
            HTTPClientError,
            NoCredentialsError,
            PartialCredentialsError,
            ProfileNotFound,
        )

        name = method.__name__
        problem = ""
        for attempt in range(1, ATTEMPTS + 1):
            self.extraction.calls += 1
            asked = None
            began = time.monotonic()
            try:
                answer = method(**parameters)
                if wanted is None or wanted in answer:
                    return answer if wanted is None else answer[wanted]
                problem = f"an answer without {wanted}"
            except ClientError as error:
                problem = self._refuse(name, error)
                asked = retry_after(error.response["ResponseMetadata"].get("HTTPHeaders", {}).get("retry-after"))
            except (NoCredentialsError, PartialCredentialsError, CredentialRetrievalError, ProfileNotFound) as error:
                raise CredentialRefused(
                    f"{self.title}: no credential for AWS was found ({type(error).__name__}). Set AWS_ACCESS_KEY_ID "
                    "and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE; nothing was loaded."
                ) from error
            except HTTPClientError as error:
                problem = type(error).__name__
            except BotoCoreError as error:
                raise RequestRefused(f"{self.title}: {name} was not sent: {masked(str(error))}") from error
            finally:
                self.extraction.waited_seconds += time.monotonic() - began
            if attempt == ATTEMPTS:
                break
            wait = backoff(attempt) if asked is None else asked
            if wait > LONGEST_WAIT:
                break
            log.warning("%s: %s failed (%s), attempt %d of %d, next in %.1f s",
                        self.title, name, problem, attempt, ATTEMPTS, wait)  # fmt: skip
            pause(self.extraction, self.title, wait)
        if problem.startswith("an answer"):
            raise AnswerChanged(f"{self.title} answered {name} with {problem}, {ATTEMPTS} times; nothing was loaded.")
        raise VendorUnavailable(
            f"{self.title} did not answer {name} after {attempt} attempts (last: {problem}); {NOTHING}"
        )

    def _refuse(self, name: str, error: Any) -> str:
        """Raise for an answer that a repetition would not change; return what is wrong with one that it may."""
        code = str(error.response.get("Error", {}).get("Code", ""))
        status = int(error.response["ResponseMetadata"].get("HTTPStatusCode", 0))
        if code in TOO_MANY or status >= 500 or status in (408, 429):
            return f"{status} {code}"
        said = masked(str(error.response.get("Error", {}).get("Message", "")), 200)
        asked = f"{self.title} answered {name} with {code}: {said}"
        if code in WRONG_CREDENTIAL:
            raise CredentialRefused(
                f"{asked}. Renew the AWS credential and set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY again, or "
                "AWS_PROFILE; nothing was loaded."
            ) from error
        if code in NO_PERMISSION:
            raise PermissionMissing(f"{asked}. The policy must allow it; grant that, then run again.") from error
        refused = RequestRefused(f"{asked}. The request or a setting is wrong; nothing was loaded.")
        refused.status = status
        raise refused from error

    def _start(self, sql: str, parameters: Sequence[str]) -> str:
        """Start a query and return its number."""
        how: dict[str, Any] = {"ExecutionParameters": list(parameters)} if parameters else {}
        if self.output:
            how["ResultConfiguration"] = {"OutputLocation": self.output}
        try:
            return str(
                self.call(
                    self._athena.start_query_execution,
                    "QueryExecutionId",
                    QueryString=sql,
                    QueryExecutionContext={"Database": self.database, "Catalog": self.catalog},
                    WorkGroup=self.workgroup,
                    # A start whose answer was lost is asked for again, and is the same query.
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
        """Run a query to its end; return its number and where its result lies, nowhere if Athena keeps it itself."""
        reason = ""
        for attempt in range(1, RUNS + 1):
            number = self._start(sql, parameters)
            try:
                execution = self._finished(number)
            except BaseException:
                with contextlib.suppress(Exception):
                    self._athena.stop_query_execution(QueryExecutionId=number)
                raise
            scanned = execution.get("Statistics", {}).get("DataScannedInBytes", 0)
            self.extraction.measured["athena_bytes_scanned"] += scanned
            if execution["Status"]["State"] == "SUCCEEDED":
                return number, str(execution.get("ResultConfiguration", {}).get("OutputLocation") or "")
            reason = self._judge(execution["Status"])
            if attempt < RUNS:
                log.warning("%s: a query failed (%s), run %d of %d", self.title, reason, attempt, RUNS)
                pause(self.extraction, self.title, backoff(attempt))
        raise VendorUnavailable(f"{self.title}: a query did not succeed in {RUNS} runs (last: {reason}); {NOTHING}")

    def _finished(self, number: str) -> Mapping[str, Any]:
        """Return the execution of a query when it has ended. One that runs may be queued again."""
        until = time.monotonic() + LONGEST_QUERY
        wait = FIRST_POLL
        while True:
            execution: Mapping[str, Any] = self.call(
                self._athena.get_query_execution, "QueryExecution", QueryExecutionId=number
            )
            if execution["Status"]["State"] not in ("QUEUED", "RUNNING"):
                return execution
            if time.monotonic() > until:
                raise VendorUnavailable(
                    f"{self.title}: a query was {execution['Status']['State']} for {LONGEST_QUERY:,.0f} s and was "
                    f"stopped; {NOTHING}"
                )
            pause(self.extraction, self.title, wait * first_backoff())
            wait = min(LONGEST_POLL, wait * 1.5)

    def _judge(self, status: Mapping[str, Any]) -> str:
        """Raise for a query that would not succeed if it were run again; return what befell one that may."""
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


class _Result:
    """The bytes of a result as a file; a broken connection is taken up where it broke."""

    closed = False

    def __init__(self, athena: Athena, bucket: str, key: str) -> None:
        self._athena = athena
        self._object = {"Bucket": bucket, "Key": key}
        self._body: Any = None
        self._size: int | None = None
        self._tag = ""
        self._read = 0
        self._quotes = 0
        self._last = b""

    def read(self, size: int = -1) -> bytes:
        """Return ``size`` bytes, fewer only at the end. Arrow takes what one call returns for a block."""
        pieces: list[bytes] = []
        left = size if size >= 0 else sys.maxsize
        while left and (piece := self._piece(min(left, PIECE))):
            pieces.append(piece)
            left -= len(piece)
        return b"".join(pieces)

    def _piece(self, size: int) -> bytes:
        from botocore.exceptions import BotoCoreError

        for attempt in range(1, ATTEMPTS + 1):
            if self._body is None:
                self._open()
            began = time.monotonic()
            try:
                chunk: bytes = self._body.read(size)
                if chunk or self._read == self._size:
                    return self._noted(chunk)
                problem = "too short"
            except (BotoCoreError, OSError) as error:
                problem = type(error).__name__
            finally:
                self._athena.extraction.waited_seconds += time.monotonic() - began
            self._drop()
            log.warning("%s: a result broke off at byte %d of %s (%s), attempt %d of %d",
                        self._athena.title, self._read, self._size, problem, attempt, ATTEMPTS)  # fmt: skip
            pause(self._athena.extraction, self._athena.title, backoff(attempt))
        raise VendorUnavailable(
            f"{self._athena.title}: a result broke off {ATTEMPTS} times at byte {self._read}; {NOTHING}"
        )

    def close(self) -> None:
        self._drop()
        self.closed = True

    def _open(self) -> None:
        further = {"Range": f"bytes={self._read}-", "IfMatch": self._tag} if self._read else {}
        athena = self._athena
        found = athena.call(athena._s3.get_object, None, **self._object, **further)
        self._body = found["Body"]
        if not self._read:
            # S3 always says how long an object is; without that a short one would look whole.
            self._size, self._tag = found.get("ContentLength"), found.get("ETag", "")
        elif self._size is None:
            self._size = int(found.get("ContentRange", "/-1").rpartition("/")[2])

    def _drop(self) -> None:
        if self._body is not None:
            self._body.close()
        self._body = None

    def _noted(self, chunk: bytes) -> bytes:
        self._read += len(chunk)
        self._quotes += chunk.count(b'"')
        self._last = chunk[-1:] or self._last
        if not chunk and self._read and (self._last != b"\n" or self._quotes % 2):
            raise VendorUnavailable(f"{self._athena.title}: a result ends in the middle of a row; {NOTHING}")
        return chunk


def _last_end(piece: bytes, inside: bool) -> tuple[int, bool]:
    """Return the end of the last row that ends in ``piece``, -1 if none does, and whether it ends within marks.

    ``inside`` says whether it begins within quotation marks. A doubled mark leaves and enters, which is the same.
    """
    after = inside ^ bool(piece.count(b'"') & 1)
    place, within = len(piece), after
    while True:
        end = piece.rfind(b"\n", 0, place)
        if end < 0:
            return -1, after
        within ^= bool(piece.count(b'"', end, place) & 1)
        if not within:
            return end + 1, after
        place = piece.rfind(b'"', 0, end)
        if place < 0:
            return -1, after
        within = False  # before the mark by which that text begins


def _first_end(piece: bytes, inside: bool) -> tuple[int, bool]:
    """Return the end of the first row that ends in ``piece``, -1 if none does, and whether what follows is in marks."""
    place = 0
    while True:
        mark = piece.find(b'"', place)
        if not inside:
            end = piece.find(b"\n", place, mark if mark >= 0 else len(piece))
            if end >= 0:
                return end + 1, False
        if mark < 0:
            return -1, inside
        inside, place = not inside, mark + 1


def _leading_cells(row: bytes, names: Sequence[str]) -> dict[str, str | None]:
    """Return the cells that a row begins with, by column, as far as they are complete."""
    cells: dict[str, str | None] = {}
    place = 0
    for name in names:
        match = CELL.match(row, place)
        if match is None:
            break
        text = match[1]
        cells[name] = None if text is None else text.replace(b'""', b'"').decode(errors="replace")
        place = match.end()
    return cells


def quoted(text: str) -> str:
    """Return a text as the literal that stands for a ``?``."""
    return "'" + text.replace("'", "''") + "'"

"""The result of a query of Athena, as batches of texts: the CSV in S3, or GetQueryResults page by page.

The CSV that Athena writes beside every query is read rather than GetQueryResults with its thousand rows a page. In it a
text is in quotation marks and NULL is empty, which tells NULL from the empty text; Arrow reads that, and Python's own
reader does not. A broken connection is resumed at the byte where it broke. S3 says how long an object is, and Athena
ends each row with a line break: a result that is short of either is an error. Arrow is given complete rows, so a row
may be as long as ``LARGEST_ROW``; of a longer one the first cells are kept in ``oversize``, and the rest is skipped.

A workgroup with managed query results keeps them itself and names no place: only then GetQueryResults is asked.
"""

import logging
import re
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from warehouse_pipelines.errors import AnswerChanged, CursorStuck, VendorUnavailable
from warehouse_pipelines.sources._http import ATTEMPTS, backoff
from warehouse_pipelines.sources.salespro.aws import NOTHING, AwsRequests

if TYPE_CHECKING:
    import pyarrow as pa

log = logging.getLogger("warehouse.ingestion")

Oversize = list[dict[str, str | None]]
"""Of each row that is too long to be read, its first cells, by column."""

BLOCK = 2**20
"""Bytes of the result that are parsed at a time, more for a longer row."""

LARGEST_ROW = 64 * 2**20
"""Most bytes of one row of a result, give or take a ``BLOCK``."""

ROWS_A_PAGE = 1_000
"""The maximum of GetQueryResults."""

CELL = re.compile(rb'(?:"((?:[^"]|"")*)"|([^",\n]*)),')

PIECE = 2**14
"""Bytes that are read from a connection at a time, and read again when it breaks."""


class ResultFile:
    """The bytes of a result; a broken connection is resumed at the byte where it broke."""

    def __init__(self, aws: AwsRequests, bucket: str, key: str) -> None:
        self.aws = aws
        self._object = {"Bucket": bucket, "Key": key}
        self._body: Any = None
        self._size: int | None = None
        self._tag = ""
        self._read = 0
        self._quotes = 0
        self._last = b""

    def read(self, size: int = -1) -> bytes:
        """Return ``size`` bytes, fewer only at the end."""
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
            try:
                with self.aws.context.waiting():
                    chunk: bytes = self._body.read(size)
                if chunk or self._read == self._size:
                    return self._noted(chunk)
                problem = "too short"
            except (BotoCoreError, OSError) as error:
                problem = type(error).__name__
            self.close()
            log.warning("%s: a result broke off at byte %d of %s (%s), attempt %d of %d",
                        self.aws.title, self._read, self._size, problem, attempt, ATTEMPTS)  # fmt: skip
            self.aws.context.pause(self.aws.title, backoff(attempt))
        raise VendorUnavailable(
            f"{self.aws.title}: a result broke off {ATTEMPTS} times at byte {self._read}; {NOTHING}"
        )

    def close(self) -> None:
        """End the connection."""
        if self._body is not None:
            self._body.close()
        self._body = None

    def _open(self) -> None:
        further = {"Range": f"bytes={self._read}-", "IfMatch": self._tag} if self._read else {}
        found = self.aws.call(self.aws.s3.get_object, None, **self._object, **further)
        self._body = found["Body"]
        if not self._read:
            # S3 always says how long an object is; without that a short result would look complete.
            self._size, self._tag = found.get("ContentLength"), found.get("ETag", "")
        elif self._size is None:
            self._size = int(found.get("ContentRange", "/-1").rpartition("/")[2])

    def _noted(self, chunk: bytes) -> bytes:
        self._read += len(chunk)
        self._quotes += chunk.count(b'"')
        self._last = chunk[-1:] or self._last
        if not chunk and self._read and (self._last != b"\n" or self._quotes % 2):
            raise VendorUnavailable(f"{self.aws.title}: a result ends in the middle of a row; {NOTHING}")
        return chunk


def csv_batches(file: "ResultFile", names: Sequence[str], oversize: Oversize) -> Iterator["pa.RecordBatch"]:
    """Yield the rows of a CSV as texts, NULL as null.

    Raises ``AnswerChanged`` for another form, ``VendorUnavailable`` for one that breaks off.
    """
    import pyarrow as pa
    from pyarrow import csv

    header = b"".join(b'"%b",' % name.replace('"', '""').encode() for name in names)[:-1] + b"\n"
    first = True
    for rows in _complete(file, names, oversize):
        if first and not rows.startswith(header):
            raise AnswerChanged(
                f"{file.aws.title}: a result has other columns than were asked for; nothing was loaded."
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
            # Its message quotes the row, which is personal data.
            raise AnswerChanged(
                f"{file.aws.title}: a result is not the CSV that Athena writes (a row with too many or too few "
                "fields); nothing was loaded."
            ) from None
        yield from table.to_batches()
    if first:
        raise AnswerChanged(f"{file.aws.title}: a result has not even a header; nothing was loaded.")


def _complete(file: "ResultFile", names: Sequence[str], oversize: Oversize) -> Iterator[bytes]:
    """Yield the bytes of complete rows, about ``BLOCK`` at a time; rows over ``LARGEST_ROW`` are left out."""
    kept = bytearray()
    inside = skipping = False  # within quotation marks; within a row that is left out
    while piece := file.read(BLOCK):
        if skipping:
            end, inside = _first_end(piece, inside)
            if end < 0:
                continue
            piece, skipping = piece[end:], False
        end, after = _last_end(piece, inside)
        if end >= 0:
            kept += piece[:end]
            yield bytes(kept)
            kept = bytearray(piece[end:])
        else:
            kept += piece
        inside = after
        if len(kept) > LARGEST_ROW:
            oversize.append(_leading_cells(bytes(kept[: 2**16]), names))
            kept, skipping = bytearray(), True
    if kept:
        yield bytes(kept)


def managed_batches(
    aws: AwsRequests, number: str, names: Sequence[str], oversize: Oversize
) -> Iterator["pa.RecordBatch"]:
    """Yield the rows of a result that Athena keeps itself. The first row of the first page is the header.

    Raises ``AnswerChanged`` for another form, ``CursorStuck`` for a token that repeats.
    """
    import pyarrow as pa

    further: dict[str, Any] = {}
    seen: set[str] = set()
    while True:
        answer = aws.call(
            aws.athena.get_query_results, None, QueryExecutionId=number, MaxResults=ROWS_A_PAGE, **further
        )
        try:
            rows = [[cell.get("VarCharValue") for cell in row.get("Data", ())] for row in answer["ResultSet"]["Rows"]]
        except (KeyError, TypeError, AttributeError):
            raise AnswerChanged(f"{aws.title}: GetQueryResults answered with no rows; nothing was loaded.") from None
        if not further:
            if not rows or rows[0] != list(names):
                raise AnswerChanged(f"{aws.title}: a result has other columns than were asked for; nothing was loaded.")
            del rows[0]
        if any(len(row) != len(names) for row in rows):
            raise AnswerChanged(f"{aws.title}: a result has rows of another length; nothing was loaded.")
        fitting = [row for row in rows if sum(len(cell or "") for cell in row) <= LARGEST_ROW]
        oversize += [
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
            raise CursorStuck(f"{aws.title}: GetQueryResults gives the same page again; nothing was loaded.")
        seen.add(token)
        further = {"NextToken": token}


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

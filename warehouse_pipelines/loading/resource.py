"""From a vendor's pages to Arrow tables of typed columns, and a dlt resource (``dlt_source``) bound to a run.

A resource takes an ``EntityRead`` and a ``Coercer`` when it is bound, and yields Arrow tables of typed columns. The
window is ``dlt.sources.incremental`` on the cursor: with both of its ends given dlt keeps no state, which is right,
because the watermark is kept by ``orchestration.sync_history`` and commits with the data. Records outside of the
window's question (``Page.in_window``) carry no ``WINDOW_COLUMN`` and pass.
"""

import contextlib
import itertools
import time
from collections.abc import Callable, Generator, Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from warehouse_pipelines.model.reading import Fetch, Json, Page, ReadContext, ReadReport, ReadRequest
from warehouse_pipelines.model.source import Source

if TYPE_CHECKING:
    import pyarrow as pa
    from dlt.extract import DltResource

    from warehouse_pipelines.loading.coerce import Coercer

CHUNK = 5_000
"""Records of a batch: 2,000 to 5,000 load fastest and keep the memory flat (``benchmarks/load.py``)."""

CHUNK_BYTES = 32 * 2**20

CHUNK_SECONDS = 1.0
"""How long a batch is gathered from a slow vendor, so that its records load while others are read."""

WINDOW_COLUMN = "_cursor"

AHEAD = timedelta(days=1)
"""How far ahead of ours a vendor's clock may be; a cursor beyond that is no watermark."""

END = datetime.max.replace(tzinfo=UTC)
"""The end of a window without one, which belongs to it: vendors write 9999-12-31 for "never", and that is a record too.
"""


class EntityRead:
    """One read of one entity by the loader: what it is asked for, how far it has come, and the report at its end.

    ``safety_limit``  give a read up that still goes on after so many records, 0 for never; ``endless`` then says so
    ``begun``         called once, when the first page is there or there is none
    ``end``           the end of the window, which does not belong to it; None leaves it open
    ``outside``       how many records lie outside of the window, so that they are not loaded
    ``reported``      how many records the vendor says it has, as far as it has said
    ``report``        what ``fetch`` returned; None before its end, and for a read that was stopped by a limit
    """

    def __init__(
        self,
        request: ReadRequest,
        context: ReadContext,
        *,
        safety_limit: int = 0,
        begun: Callable[[], None] = lambda: None,
    ) -> None:
        self.request, self.context = request, context
        self.safety_limit = safety_limit
        self.begun = begun
        self.endless = False
        self.end: datetime | None = None
        self.outside = 0
        self.reported: int | None = None
        self.report: ReadReport | None = None

    def batches(self, fetch: Fetch) -> Iterator[tuple[list[Json], bool]]:
        """Gather pages into batches of about ``CHUNK`` records that were asked for in the same way, ``limit`` in all.

        Those of ``CHUNK_SECONDS`` are a batch if they are fewer.

        A page beyond the safety limit is left out; a page without records counts as one, or many of them had no end.
        """
        left = self.request.limit or None
        counted = 0
        gathered: list[Json] = []
        size, due = 0, 0.0
        asked = True
        first = True
        with contextlib.closing(self._pages(fetch)) as pages:
            for page in pages:
                if page.reported is not None:
                    self.reported = page.reported
                if first:
                    first = False
                    self.begun()
                if self.safety_limit and counted >= self.safety_limit:
                    self.endless = True
                    break
                enough = len(gathered) >= CHUNK or size >= CHUNK_BYTES or time.monotonic() >= due
                if gathered and (enough or page.in_window != asked):
                    yield gathered, asked
                    gathered, size = [], 0
                if not gathered:
                    due = time.monotonic() + CHUNK_SECONDS
                asked = page.in_window
                records = list(itertools.islice(page.records, left))
                gathered += records
                counted += max(1, len(records))
                size += sum(len(memoryview(record)) for record in records)
                if left is not None:
                    left -= len(records)
                    if not left:
                        break
        if first:
            self.begun()
        if gathered:
            yield gathered, asked

    def count_outside(self, cursors: "pa.ChunkedArray") -> None:
        """Count those of these cursors that lie outside of the window, as its filter should find; null passes it."""
        import pyarrow.compute as pc

        bounds = []
        if not self.request.full:
            bounds.append(pc.less(cursors, self.request.since))
        if self.end is not None:
            bounds.append(pc.greater_equal(cursors, self.end))
        self.outside += sum(pc.sum(beyond).as_py() or 0 for beyond in bounds)

    def _pages(self, fetch: Fetch) -> Generator[Page]:
        """Yield the pages and keep the report that comes after the last one."""
        report = yield from fetch(self.request, self.context)
        if not isinstance(report, ReadReport):  # completeness and deletes are judged by it
            raise TypeError(f"fetch of {self.request.entity.table} returned {report!r} and no ReadReport")
        self.report, self.reported = report, report.reported


def newest_cursor(cursors: "pa.ChunkedArray", now: datetime) -> datetime | None:
    """Return the newest of these cursors that can be a watermark, None when there is none."""
    import pyarrow.compute as pc

    # What lies ahead is a plan or a sentinel (9999-12-31), and no time at which the vendor changed anything.
    found: datetime | None = pc.max(pc.filter(cursors, pc.less_equal(cursors, now + AHEAD))).as_py()
    return found


def tables(crm: Source, reading: EntityRead, coercer: "Coercer") -> Iterator["pa.Table"]:
    """Yield what the vendor answers as tables of typed columns, with ``WINDOW_COLUMN`` if there is a cursor."""
    for records, in_window in reading.batches(crm.fetch):
        table = coercer.table(records)
        if cursor := reading.request.entity.cursor:
            import pyarrow as pa

            if in_window:
                reading.count_outside(table[cursor])
            asked = table[cursor] if in_window else pa.nulls(table.num_rows, table[cursor].type)
            table = table.append_column(WINDOW_COLUMN, asked)
        yield table


def bound(unread: "DltResource", reading: EntityRead, coercer: "Coercer", end: datetime | None) -> "DltResource":
    """Return the resource bound to its run, with the window as dlt's incremental; ``end`` None leaves it open.

    A delta leaves it open: a record that was edited after its page was asked for is newer than the window, and welcome.
    What a pipeline is told of the columns is dropped: the loader has its own, and dlt takes 50 ms to check the hints of
    166 of them.
    """
    reading.end = end
    read = unread(reading, coercer)
    read.apply_hints(columns={})
    if reading.request.entity.cursor:
        import dlt

        window: Any = dlt.sources.incremental(
            WINDOW_COLUMN,
            initial_value=reading.request.since,
            end_value=end or END,
            range_end="open" if end else "closed",
            on_cursor_value_missing="include",
            primary_key=(),
        )
        read.apply_hints(incremental=window)
    return read
